"""The slow fold of the settle model, and the checkers that hold what happened against it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.unit.settle.model import (
    LONG_AGO,
    PARTITIONS,
    RAW,
    ROWS,
    SIDE,
    Event,
    Origin,
    Place,
    Row,
    State,
    StoredValues,
    Values,
    add,
    home,
    key_of,
)
from tests.unit.settle.scheduler import Simulation

CHECKERS = {
    "C0": "progress is made",
    "C1": "every counted event has its row, all copies of it alike",
    "C2": "every row equals the fold at its event",
    "C3": "the store equals the fold once all is quiet",
    "C4": "no event is counted twice in the store",
    "C5": "a misplaced event counts exactly once, at home",
    "C6": "C1 to C4 hold for the group by another entity, and its topic has what was counted",
    "C7": "rows emitted again after a loss of the store equal the earlier ones",
}
Finding = tuple[str, str]


@dataclass(slots=True)
class Truth:
    """What the log of a topic says, folded slowly in log order."""

    counted: dict[int, list[tuple[Origin, Event]]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[tuple[str, int, int], tuple[str, Values]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)


def events(sim: Simulation, topic: str, part: int) -> Iterator[tuple[int, Event]]:
    """Yield the events of a partition with their offsets."""
    for offset, event in enumerate(sim.broker.log[Place(topic, part)]):
        if isinstance(event, Event):
            yield offset, event


def truth(sim: Simulation, topic: str) -> Truth:
    """Fold a topic; of the copies of one origin only the first is looked at."""
    folded = Truth()
    for part in range(PARTITIONS):
        seen: set[Origin] = set()
        for offset, event in events(sim, topic, part):
            if topic == RAW and home(event.entity) != part:
                continue
            if event.origin is not None:
                if event.origin in seen:
                    continue
                seen.add(event.origin)
            _fold(sim, folded, (topic, part, offset), event)
    return folded


def _fold(sim: Simulation, folded: Truth, source: tuple[str, int, int], event: Event) -> None:
    rules = sim.rules
    topic, part, offset = source
    past = [e for _, e in folded.counted[key_of(topic, event)]]
    if event.id in [e.id for e in past[-rules.horizon :]]:
        return
    if past and event.time < max(e.time for e in past) - rules.lateness:
        folded.late.add(event.id)
        return
    earliest = event.time - rules.window if rules.window else LONG_AGO
    inside = [e.amount for e in past if earliest <= e.time < event.time]
    folded.rows[source] = (event.id, Values(len(inside), repr(add(inside)), tuple(inside[-3:])))
    folded.counted[key_of(topic, event)].append(((part, offset), event))


def check(sim: Simulation) -> list[Finding]:
    """Return what is wrong, checker by checker; nothing: all is as the logs say."""
    found: list[Finding] = []
    raw = truth(sim, RAW)
    stored = _stored(sim, RAW)
    found += [*_rows(sim, RAW, raw), *_store(sim, RAW, raw, stored), *_moves(sim, raw, stored)]
    side = truth(sim, SIDE)
    inner = [*_rows(sim, SIDE, side), *_store(sim, SIDE, side, _stored(sim, SIDE))]
    found += [("C6", f"{code}: {text}") for code, text in inner]
    return found + list(_forwarded(sim, raw))


def _rows(sim: Simulation, topic: str, folded: Truth) -> Iterator[Finding]:
    copies = _copies(sim, topic)
    for source in sorted(folded.rows.keys() | copies.keys()):
        got = copies[source]
        if not got:
            yield "C1", f"no row for {folded.rows[source][0]} at {source}"
        for value, _ in got:
            if value != folded.rows.get(source):
                yield "C2", f"the row at {source} is {value}, the fold says {folded.rows.get(source)}"
        if len({value for value, _ in got}) > 1:
            yield ("C7" if len({losses for _, losses in got}) > 1 else "C1"), f"copies of row {source} differ: {got}"


def _copies(sim: Simulation, topic: str) -> dict[tuple[str, int, int], list[tuple[tuple[str, Values], int]]]:
    """Return the rows made from a topic by their source, each with the store's losses before it."""
    copies: dict[tuple[str, int, int], list[tuple[tuple[str, Values], int]]] = defaultdict(list)
    for part in range(PARTITIONS):
        for row in sim.broker.log[Place(ROWS, part)]:
            if isinstance(row, Row) and row.source[0] == topic:
                copies[row.source].append(((row.event_id, row.values), row.losses))
    return copies


def _stored(sim: Simulation, topic: str) -> dict[int, State]:
    stored: dict[int, State] = defaultdict(State)
    for (at, (key, _)), value in sim.store.values.items():
        if at.topic == topic:
            if isinstance(value, StoredValues):
                stored[key] = replace(stored[key], values=value)
            else:
                stored[key] = replace(stored[key], horizon=value)
    return stored


def _store(sim: Simulation, topic: str, folded: Truth, stored: dict[int, State]) -> Iterator[Finding]:
    rules = sim.rules
    for key in sorted(folded.counted.keys() | stored.keys()):
        state, want = stored[key], [event for _, event in folded.counted[key]]
        newest = max([e.time for e in want], default=LONG_AGO)
        ring = tuple(
            (e.time, e.amount) for e in want if not rules.window or e.time >= newest - rules.lateness - rules.window
        )
        ids = tuple(e.id for e in want)[-rules.horizon :]
        if (state.values.ring, state.horizon.ids, state.horizon.newest) != (ring, ids, newest):
            yield "C3", f"the store has {state.values.ring} {state.horizon.ids} of {key}, the fold {ring} {ids}"
        counted = [sim.broker.log[Place(topic, part)][offset] for part, offset in state.values.ghost]
        in_store = [event.id for event in counted if isinstance(event, Event)]
        for one in sorted(set(in_store)):
            if in_store.count(one) > sum(e.id == one for e in want):
                yield "C4", f"{one} is in the store of {key} {in_store.count(one)} times"


def _moves(sim: Simulation, folded: Truth, stored: dict[int, State]) -> Iterator[Finding]:
    at_home = {(key, event.id) for key, counted in folded.counted.items() for _, event in counted}
    for part in range(PARTITIONS):
        for offset, event in events(sim, RAW, part):
            if home(event.entity) == part:
                continue
            log = sim.broker.log[Place(RAW, home(event.entity))]
            copies = [log[position] for _, position in stored[event.entity].values.ghost]
            times = sum(isinstance(copy, Event) and copy.origin == (part, offset) for copy in copies)
            if times > 1 or ((event.entity, event.id) not in at_home and event.id not in folded.late):
                yield "C5", f"misplaced {event.id} counts {times} times"


def _forwarded(sim: Simulation, folded: Truth) -> Iterator[Finding]:
    counted = {place for events_ in folded.counted.values() for place, _ in events_}
    hops = {event.origin for part in range(PARTITIONS) for _, event in events(sim, SIDE, part)}
    if hops != counted:
        yield "C6", f"the side topic and the counted events differ by {sorted(map(str, hops ^ counted))}"
