"""`millrace topics`: create the topics of the pipelines on a Kafka, list those that are there."""

import asyncio
from typing import Annotated

import typer

from millrace_cli import console, plan
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_cli.home import Home
from millrace_cli.settings import CliSettings
from millrace_common import topics
from millrace_common.bus import admin
from millrace_common.errors import Unavailable
from millrace_common.topics import Topic

group = typer.Typer(help="The topics on Kafka.", no_args_is_help=True)
DAY_MS = topics.DAY_MS
Pipelines = Annotated[list[str] | None, typer.Argument(help="The pipelines; default as for `up`.")]


@group.command()
def create(pipelines: Pipelines = None, home: HomeOption = None) -> None:
    """Create the topics that are missing; those that exist stay as they are."""
    settings = CliSettings()
    folder = home_of(home)
    created = asyncio.run(
        admin.create_topics(
            _bootstrap(folder, settings),
            _topics(folder, pipelines, settings),
            prefix=_prefix(folder, settings),
            partitions=settings.partitions,
        )
    )
    console.say("\n".join(f"created {name}" for name in created) or "all topics exist")


@group.command("list")
def show(pipelines: Pipelines = None, home: HomeOption = None, *, json: JsonOption = False) -> None:
    """List the topics of the pipelines: who writes them, their partitions, how long they keep messages."""
    settings = CliSettings()
    folder = home_of(home)
    wanted = _topics(folder, pipelines, settings)
    prefix = _prefix(folder, settings)
    names = [topic.name for topic in wanted]
    counts = asyncio.run(admin.partitions(_bootstrap(folder, settings), names, prefix=prefix))
    if json:
        console.show_json(
            [{"name": prefix + t.name, "writer": t.writer, "partitions": counts.get(t.name, 0)} for t in wanted]
        )
        return
    rows = [(prefix + t.name, t.writer, counts.get(t.name, "missing"), kept(t)) for t in wanted]
    console.show_table(("topic", "writer", "partitions", "kept"), rows)


def kept(topic: Topic) -> str:
    """Return how long a topic keeps its messages, in words.

    >>> kept(topics.PROMOTIONS), kept(topics.FEATURES)
    ('for ever', '90 days')
    """
    return "for ever" if topic.retention_ms == topics.KEEP else f"{topic.retention_ms // DAY_MS} days"


def _topics(home: Home, pipelines: list[str] | None, settings: CliSettings) -> tuple[Topic, ...]:
    names = plan.specs(pipelines or (), settings, home.endpoints())
    return topics.of_deployment(plan.deployment_of(names).repartitioned)


def _bootstrap(home: Home, settings: CliSettings) -> str:
    endpoints = home.endpoints()
    found = settings.kafka_bootstrap_servers or (endpoints.kafka_bootstrap_servers if endpoints else "")
    if not found:
        raise Unavailable(f"no Kafka: nothing was ever up on {home.folder}, and KAFKA_BOOTSTRAP_SERVERS is not set")
    return found


def _prefix(home: Home, settings: CliSettings) -> str:
    endpoints = home.endpoints()
    return settings.topic_prefix or (endpoints.topic_prefix if endpoints else "")
