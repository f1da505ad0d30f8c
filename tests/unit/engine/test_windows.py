"""What a group's windows see, however they are declared."""

from dataclasses import replace

from tests.fakes.features.deployment import SECOND
from tests.unit.oracles.logs import EVENTS, WINDOWED, Stream
from tests.unit.oracles.tables import Driven, Rows

from millrace.spec import Deployment, GroupSpec
from millrace_engine.entity import compile_entity


def stepped(group: GroupSpec) -> list[tuple[str, Rows]]:
    """Return what comes of a log with busy and quiet entities."""
    log = Stream(1, "shuffled", 0.1, ((300, SECOND // 3), (70, 3_000))).log()
    plan = compile_entity(Deployment(EVENTS, {group.name: group}, {}, {}, "0" * 32), "card")
    return Driven(plan).step(log)


def test_the_order_of_windows_changes_no_value() -> None:
    """A wider window goes on where the narrower one before it began; a narrower one begins anew."""
    widening = stepped(WINDOWED)
    narrowing = stepped(replace(WINDOWED, features=WINDOWED.features[::-1]))
    assert narrowing == widening
    assert sum(verdict == "counted" for verdict, _ in widening) > 300
