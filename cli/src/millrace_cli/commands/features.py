"""`millrace features`: what the online store holds of an entity, as serving would read it now."""

import asyncio
import json as jsonlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from millrace.catalog import feature_text
from millrace.keys import key_text
from millrace.spec import Deployment, GroupSpec
from millrace_cli import console, plan
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_cli.home import Home
from millrace_cli.settings import CliSettings
from millrace_common import topics
from millrace_common.clock import SystemClock
from millrace_common.errors import Refused, Unavailable
from millrace_common.online import OnlineReader
from millrace_common.slots import Held, Wanted
from millrace_engine.groups import Unreadable, compile_group

EXIT_MISSING = 1
AGE_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
Shown = dict[str, Any]  # JSON: its readers are people and their programs
group = typer.Typer(help="The features of one entity, as the online store has them.", no_args_is_help=True)


@group.command()
def get(
    entity_type: Annotated[str, typer.Argument(metavar="TYPE", help="The entity type, as `card`.")],
    entity_id: Annotated[list[str], typer.Argument(metavar="ID...", help="Its id; of several parts: words, or JSON.")],
    home: HomeOption = None,
    *,
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", help="The pipelines; repeatable; default as for `up`.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show every feature of an entity: value, age, status, where it comes from; exit 1 where nothing is held of it."""
    settings, folder = CliSettings(), home_of(home)
    deployment = plan.deployment_of(plan.specs(pipeline or (), settings, folder.endpoints()))
    specs = groups_of(entity_type, deployment)
    named = key_of(specs[0], deployment, entity_id)
    at_us = SystemClock().now_us()
    wanted = [Wanted(topics.feeding(spec, deployment), entity_type, named, spec.key) for spec in specs]
    held = asyncio.run(_read(_redis(folder, settings), wanted))
    shown = [shown_group(spec, deployment, one, at_us) for spec, one in zip(specs, held, strict=True)]
    if json:
        console.show_json({"entity_type": entity_type, "entity_id": named, "at_us": at_us, "groups": shown})
    else:
        _show(entity_type, named, shown)
    if all(one.value is None for one in held):
        raise typer.Exit(EXIT_MISSING)


def groups_of(entity_type: str, deployment: Deployment) -> list[GroupSpec]:
    """Return the groups of an entity type by name; Refused, naming those there are, where it has none."""
    found = [spec for _, spec in sorted(deployment.groups.items()) if spec.entity_type == entity_type]
    if not found:
        known = ", ".join(sorted({spec.entity_type for spec in deployment.groups.values()}))
        raise Refused("unknown-entity-type", f"{entity_type!r}; there are features of: {known or 'nothing'}")
    return found


def key_of(spec: GroupSpec, deployment: Deployment, words: Sequence[str]) -> str:
    """Return an entity's id as it stands in keys: one part as it is, several as JSON; a part's type is its field's."""
    kinds = {field.name: field.dtype for field in deployment.events[spec.event].fields}
    parts: Sequence[object] = words
    if len(spec.by) > 1 and len(words) == 1:
        try:
            parts = jsonlib.loads(words[0])
        except ValueError:
            parts = ()
    if not isinstance(parts, list) or len(parts) != len(spec.by):
        raise Refused("bad-id", f"{spec.entity_type} is named by {', '.join(spec.by)}: give one word for each, or JSON")
    return key_text(tuple(_part(part, name, kinds[name]) for part, name in zip(parts, spec.by, strict=True)))


def _part(part: object, name: str, dtype: str) -> str | int:
    if dtype != "int":
        return str(part)
    try:
        return int(str(part))
    except ValueError as error:
        raise Refused("bad-id", f"{name} is a whole number, not {part!r}") from error


def shown_group(spec: GroupSpec, deployment: Deployment, held: Held, at_us: int) -> Shown:
    """Return what is held of a group, as JSON knows it. `edge`: by how much the oldest end of a window may be off."""
    shown: Shown = {"group": spec.key, "status": "stale", "rebuilding": not held.whole, "age_ms": None, "source": None}
    try:
        read = compile_group(spec, deployment.events[spec.event]).read(held.value, at_us)
    except Unreadable as error:
        return {**shown, "status": "unreadable", "why": str(error), "features": []}
    edges = {feature.name: None if read.exact else feature_text(feature)["tile"] for feature in spec.features}
    if held.value is None and not held.whole:
        return {**shown, "features": [{"name": name, "value": None, "edge": None} for name in edges]}
    source = dict(zip(("topic", "partition", "offset"), read.source, strict=True)) if read.source else None
    features = [{"name": name, "value": value, "edge": edges[name]} for name, value in read.values.items()]
    status = read.status if held.whole else "stale"
    return {**shown, "status": status, "age_ms": read.age_ms, "source": source, "features": features}


async def _read(url: str, wanted: Sequence[Wanted]) -> list[Held]:
    async with OnlineReader.connect(url, call_seconds_max=5.0) as reader:
        return await reader.read(wanted)


def _redis(home: Home, settings: CliSettings) -> str:
    endpoints = home.endpoints()
    found = settings.redis_url or (endpoints.redis_url if endpoints else "")
    if not found:
        raise Unavailable(f"no Redis: nothing was ever up on {home.folder}, and REDIS_URL is not set")
    return found


def _show(entity_type: str, entity_id: str, groups: Sequence[Shown]) -> None:
    columns = ("feature", "value", "status", "age", "source", "exact")
    for one in groups:
        console.say(f"{entity_type} {entity_id}, {one['group']}" + (_REBUILDING if one["rebuilding"] else ""))
        rows = [_row(feature, one) for feature in one["features"]]
        console.show_table(columns, rows or [(one.get("why"), None, one["status"], None, None, None)])


_REBUILDING = ": the store is being rebuilt, nothing in it holds yet"


def _row(feature: Shown, one: Shown) -> tuple[object, ...]:
    source, age_ms, edge = one["source"], one["age_ms"], feature["edge"]
    place = source and f"{source['topic']}[{source['partition']}]@{source['offset']}"
    age = None if age_ms is None else age_text(age_ms)
    exact = None if source is None else f"edge <= {edge}" if edge else "exact"
    value = feature["value"] if feature["value"] is not None else "-"
    return feature["name"], value, one["status"], age, place, exact


def age_text(age_ms: int) -> str:
    """Return an age in its largest unit that it has two of.

    >>> age_text(7_500_000), age_text(61_000), age_text(250)
    ('2h', '61s', '250ms')
    """
    for unit, size in AGE_UNITS:
        if age_ms >= 2 * size:
            return f"{age_ms // size}{unit}"
    return f"{age_ms}ms"
