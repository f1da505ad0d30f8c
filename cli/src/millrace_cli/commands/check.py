"""`millrace check`: what each service would do with a pipeline file, or all that is wrong with it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from millrace.describe import describe
from millrace.loading import Mistake, PipelineMistakes, load
from millrace.spec import Deployment
from millrace_cli import console
from millrace_cli.commands.options import JsonOption
from millrace_engine.customs import NotCompiled, compile_custom

EXIT_MISTAKES = 1
Shown = Mapping[str, Any]
FileArgument = Annotated[str, typer.Argument(help="path/file.py or module, with :ATTRIBUTE where it is not PIPELINE.")]


def check(file: FileArgument, *, json: JsonOption = False) -> None:
    """Show what each service would do with FILE; exit 1 with every mistake in it."""
    try:
        found = describe(_compiled(load([file])))
    except PipelineMistakes as mistakes:
        _refuse(mistakes, json=json)
        raise typer.Exit(EXIT_MISTAKES) from mistakes
    if json:
        console.show_json(found)
        return
    for event in found["events"]:
        _show_event(event)
    for group in found["groups"]:
        _show_group(group)
    for pipeline in found["pipelines"]:
        _show_pipeline(pipeline)
    console.say("\nServices")
    rows = [(one["service"], _listed(one["reads"]), _listed(one["writes"]), one["does"]) for one in found["services"]]
    console.show_table(("service", "reads", "writes", "does"), rows)
    console.say(f"\n{file} is right; deployment {found['hash'][:8]}")


def _compiled(deployment: Deployment) -> Deployment:
    """Return a deployment whose own aggregates are machine code. Raises PipelineMistakes for those that are not."""
    features = [feature for group in deployment.groups.values() for feature in group.features]
    mistakes = [_uncompiled(path) for path in dict.fromkeys(one.custom for one in features if one.custom)]
    if any(mistakes):
        raise PipelineMistakes([mistake for mistake in mistakes if mistake])
    return deployment


def _uncompiled(path: str) -> Mistake | None:
    try:
        compile_custom(path)
    except NotCompiled as error:
        name = f"{error.aggregate.__name__}.{error.verb}"
        what = f"{name} is no machine code: {error.reason}"
        mend = "keep it to numbers, cells[i], if, loops over range, and math"
        return Mistake(inspect.getsourcefile(error.aggregate) or path, error.line, what, mend)
    return None


def _refuse(mistakes: PipelineMistakes, *, json: bool) -> None:
    if json:
        told = [{"file": m.file, "line": m.line, "what": m.what, "mend": m.mend} for m in mistakes.mistakes]
        console.show_json({"mistakes": told})
    else:
        console.warn(str(mistakes))


def _show_event(event: Shown) -> None:
    title = (
        f"\nEvent {event['type']}/{event['version']} on {event['topic']}, keyed by {event['key']}; "
        f"late up to {event['lateness']}, ahead up to {event['max_future']}, once within {event['dedupe']}"
    )
    console.say(title)
    rows = [
        (
            field["name"],
            field["type"],
            field["role"],
            None if field["required"] else "may be absent",
            field["limits"],
            "kept as a hash" if field["personal"] else None,
        )
        for field in event["fields"]
    ]
    console.show_table(("field", "type", "is the", "", "limits", ""), rows)


def _show_group(group: Shown) -> None:
    title = (
        f"\nGroup {group['key']} of {group['entity']} from {group['event']} on {group['reads']}; in Redis "
        f"{group['bytes_per_entity']} bytes an entity and {group['bytes_per_event']} for each event kept: "
        f"{group['events_kept']}"
    )
    console.say(title)
    rows = [
        (
            feature["name"],
            feature["what"],
            feature["window"],
            feature["tile"],
            "; ".join(filter(None, (feature["exact"], feature["sketch"]))),
            feature["where"],
            "with this event" if feature["include_current"] else None,
        )
        for feature in group["features"]
    ]
    console.show_table(("feature", "what", "window", "tile", "exact", "where", ""), rows)


def _show_pipeline(pipeline: Shown) -> None:
    view, label = pipeline["view"], pipeline["label"]
    title = f"\nModel {pipeline['model']} of pipeline {pipeline['name']}: view {view['hash'][:8]}"
    console.say(title)
    columns = [(n, c["name"], c["type"], c["from"], c["is"]) for n, c in enumerate(view["columns"], start=1)]
    console.show_table(("", "column", "type", "from", "is"), columns)
    default = "unlabelled" if label["default"] is None else label["default"]
    truth = f"{label['name']} = {label['value']} of {label['seen_in']}, else {default} {label['matures_after']} later"
    console.show_table(("", ""), [("label", truth), *_policies(pipeline)])


def _policies(pipeline: Shown) -> list[tuple[str, object]]:
    training, drift = pipeline["training"], pipeline["drift"]
    learns = f"from the newest {training['newest_rows']} rows" if training["newest_rows"] else "from all rows"
    every = f"{training['estimator']}{_options(training['params'])} after {training['bootstrap_rows']} labelled rows"
    watch = f"windows of {drift['window']} and {drift['rows_min']} rows or more, one false page in "
    source = [
        f"{one['event']} from {', '.join(one['fields'])}, {one['delay']} late" for one in pipeline["source"] or []
    ]
    gates = [f"{gate['name']}{_options(gate, without=('name', 'blocking'))}" for gate in pipeline["gates"]]
    return [
        (
            "scores",
            {"stream": "each event", "request": "requests", "both": "each event, and requests"}[pipeline["scores"]],
        ),
        ("training", f"{every}, {learns}"),
        ("gates", ", ".join(gates)),
        ("rollout", pipeline["rollout"]),
        ("drift", f"{watch}{drift['windows_per_false_page']:g} windows"),
        ("retrain", _triggers(pipeline["retrain"])),
        ("file", "; ".join(source) or None),
        ("owner", pipeline["owner"]),
    ]


def _triggers(retrain: Shown) -> str:
    asked = (
        ("on drift", retrain["on_drift"]),
        ("on lost accuracy", retrain["on_performance"]),
        (f"every {retrain['every_rows']} labelled rows", retrain["every_rows"]),
        (f"every {retrain['every']}", retrain["every"]),
    )
    return (
        f"{', '.join(text for text, on in asked if on) or 'never'}; {retrain['rows_min']} labelled rows after a change"
    )


def _options(options: Shown, *, without: Sequence[str] = ()) -> str:
    named = ", ".join(f"{name}={value}" for name, value in options.items() if name not in without)
    return f" ({named})" if named else ""


def _listed(names: Sequence[str]) -> str | None:
    return ", ".join(names) or None
