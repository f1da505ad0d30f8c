"""What features published and stored, and what its engine says on replay, against the oracle and exact windows."""

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.unit.oracles.exact import ExactGroup
from tests.unit.oracles.fold import Placed, placed
from tests.unit.oracles.held import lying, own
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.stored import known_as, opened
from tests.unit.oracles.tables import Driven
from tests.unit.oracles.windows import Oracle, Past, Row, narrowed

from millrace.spec import Deployment, EventSpec, FeatureSpec, GroupSpec, Scalar
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow
from millrace_common.records import Record
from millrace_common.slots import tag, value_key
from millrace_engine.entity import compile_entity

Log = Sequence[Sequence[Record]]
ENTITY = "card"
LATER_US = (1, 1_800_000_000, 7_200_000_000)
"""When the store is asked again, after the newest event."""
ENTERED, TAKEN_BACK = ("counted", "corrected"), ("corrected", "withdrawn")
SET_ASIDE = ("late", "not-held")
"""Verdicts upon which an event goes to `raw-data.late`."""
Values = Mapping[str, Mapping[str, Scalar]]


@dataclass(frozen=True)
class Told:
    """What the oracle says of one entity's log."""

    oracle: Oracle
    steps: list[tuple[Past, Row]]
    errors: dict[tuple[str, str], float]
    """The largest relative error of each feature against exact windows."""


@dataclass
class Judge:
    """Holds runs against the oracle; remembers what it said of an entity whose events came as they did before."""

    deployment: Deployment
    told: dict[tuple[object, ...], Told] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[GroupSpec, ...]:
        """Return the groups."""
        return tuple(sorted(self.deployment.groups.values(), key=lambda group: group.key))

    def tell(self, entity: str, events: Sequence[tuple[EventSpec, Past]]) -> Told:
        """Return what the oracle says of an entity."""
        key = (entity, *((past.event_id, past.correction, *past.fields.values()) for _, past in events))
        if key not in self.told:
            self.told[key] = self._tell(events)
        return self.told[key]

    def _tell(self, events: Sequence[tuple[EventSpec, Past]]) -> Told:
        oracle = Oracle(self.groups, self.deployment.events)
        exact, steps = [ExactGroup(group) for group in self.groups], list[tuple[Past, Row]]()
        errors: dict[tuple[str, str], float] = defaultdict(float)
        for spec, past in events:
            row = oracle.step(spec, past)
            steps.append((past, row))
            if row.verdict in TAKEN_BACK:
                for group in exact:
                    group.leave(past.event_id)
            if row.verdict in ENTERED:
                for group in exact:
                    for name, true in group.values(past.time_us, past).items():
                        found = row.groups[group.spec.key][name]
                        errors[group.spec.key, name] = max(errors[group.spec.key, name], error(found, true))
                    group.enter(past)
        return Told(oracle, steps, dict(errors))


@dataclass
class Judged:
    """What was found in one run. Mismatches are counted by group and feature."""

    events: int = 0
    rows: int = 0
    repeated: int = 0
    """Rows that lie on the topic once more, of the same record: what was published before a crash, and after it."""
    verdicts: Counter[str] = field(default_factory=Counter)
    stream: Counter[tuple[str, str]] = field(default_factory=Counter)
    store: Counter[tuple[str, str]] = field(default_factory=Counter)
    replay: Counter[tuple[str, str]] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    """What is wrong beside values: rows or entities too few or too many, rings, flags, events that were set aside."""
    errors: dict[tuple[str, str], float] = field(default_factory=dict)
    final: dict[str, Values] = field(default_factory=dict)
    """What each entity's groups come to in the end."""

    @property
    def mismatches(self) -> int:
        """Return how much is wrong in all."""
        return sum(sum(found.values()) for found in (self.stream, self.store, self.replay, self.other))


@dataclass(frozen=True)
class Seen:
    """What lies on the topics and in the store once the service stands at the end."""

    raw: Log
    features: Log
    late: Log
    store: Mapping[str, bytes]


def judged(judge: Judge, seen: Seen) -> Judged:
    """Hold the rows, what was set aside, the store and a replay of the log against the oracle."""
    raw = seen.raw
    found = Judged(events=sum(map(len, raw)))
    entities = placed(raw, judge.deployment, own)
    told = {entity: judge.tell(entity, events) for entity, events in entities.items()}
    for of_entity in told.values():
        found.verdicts.update(row.verdict for _, row in of_entity.steps)
        for at, largest in of_entity.errors.items():
            found.errors[at] = max(found.errors.get(at, 0.0), largest)
    _hold_stream(found, told, seen.features)
    _hold_late(found, told, seen.late)
    _hold_store(found, judge, told, seen.store, len(raw))
    _hold_replay(found, judge, told, entities)
    return found


def error(found: Scalar, true: float | None) -> float:
    """Return how far a value is from the true one, in parts of that, or of 1 where it is less."""
    if found is None or true is None:
        return 0.0 if found is None and narrowed(true) is None else math.inf
    return abs(float(found) - true) / max(abs(true), 1.0)


def _differ(found: Values, wanted: Values) -> Iterator[tuple[str, str]]:
    for key, values in wanted.items():
        for name, value in values.items():
            got = found.get(key, {}).get(name, "no such feature")
            if got != value or type(got) is not type(value):
                yield key, name


def _hold_stream(found: Judged, told: Mapping[str, Told], features: Log) -> None:
    """An event has a row when it counts, and one more for each correction; the last one lies last on the topic."""
    rows = [row for row in lying(features) if row.entity_type == ENTITY]
    once = {(row.row_id, row.source): row for row in rows}
    found.repeated = len(rows) - len(once)
    of_events, wanted = defaultdict[str, list[FeatureRow]](list), defaultdict[str, list[tuple[Past, Row]]](list)
    for row in sorted(once.values(), key=lambda row: row.source.offset):
        of_events[row.event_id].append(row)
    for of_entity in told.values():
        for past, of_event in of_entity.steps:
            if of_event.groups:
                wanted[past.event_id].append((past, of_event))
    last = {row.event_id: row for row in rows}
    for event_id in of_events.keys() | wanted.keys():
        mine, right = of_events[event_id], wanted[event_id]
        found.rows += len(right)
        found.other["rows"] += abs(len(mine) - len(right))
        found.other["last rows"] += mine[-1:] != [last.get(event_id)]
        for row, (past, of_event) in zip(mine, right, strict=False):
            found.other["rows that say"] += _says(row) != (of_event.verdict, past.time_us, past.fields["amount"])
            found.stream.update(_differ(row.groups, of_event.groups))


def _says(row: FeatureRow) -> tuple[str, int, Scalar]:
    """Return what a row says of its event beside values."""
    amount = (row.fields or {}).get("amount")
    if row.op == "withdrawn":
        return "withdrawn", row.event_time_us, amount
    return "corrected" if "corrected" in row.flags else "counted", row.event_time_us, amount


def _hold_late(found: Judged, told: Mapping[str, Told], late: Log) -> None:
    """What came too late, or corrects what is not held, is set aside once by effect, with the reason."""
    places = {}
    for record in (record for log in late for record in log):
        place = record.header("millrace-source-partition"), record.header("millrace-source-offset")
        places[place] = (json.loads(record.value or b"")["payment_id"], record.header("millrace-reason"))
    wanted = Counter[tuple[str, str | None]](
        (past.event_id, row.verdict)
        for of_entity in told.values()
        for past, row in of_entity.steps
        if row.verdict in SET_ASIDE
    )
    aside = Counter(places.values())
    found.other["set aside"] += ((aside - wanted) + (wanted - aside)).total()


def _hold_store(found: Judged, judge: Judge, told: Mapping[str, Told], store: Mapping[str, bytes], n: int) -> None:
    plan = compile_entity(judge.deployment, ENTITY)
    groups = dict(zip(plan.group_keys, plan.groups, strict=True))
    known = {entity for entity, of_one in told.items() if of_one.oracle.counted}
    held = {key.split("}:i:")[1] for key in store if "}:i:" in key}
    found.other["entities"] += len(known ^ held)
    for entity in sorted(known & held):
        slot, oracle = tag(ENTITY, partition_of(entity, n)), told[entity].oracle
        newest = oracle.newest["payment"]
        for of_group in oracle.groups:
            value = store.get(value_key(slot, entity, of_group.spec.key), b"")
            stored = opened(value, features=len(of_group.spec.features))
            ring = [
                (entry.time_us, known_as(ENTITY, "payment", entry.event_id, plan.group_keys)) for entry in of_group.ring
            ]
            found.other["rings"] += stored.ring != ring
            for after_us in LATER_US:
                key = of_group.spec.key
                values = groups[key].read(value, newest + after_us).values
                found.store.update(_differ({key: values}, {key: of_group.values(newest + after_us)}))
        found.final[entity] = oracle.rows(newest + 1)


def _hold_replay(found: Judged, judge: Judge, told: Mapping[str, Told], entities: Mapping[str, Placed]) -> None:
    """Step the engine through the log anew, one entity after the other, cut elsewhere and from the store at times."""
    driven, rng = Driven(compile_entity(judge.deployment, ENTITY)), random.Random(1)
    for entity, events in entities.items():
        log, steps = [Logged(entity, past) for _, past in events], iter(told[entity].steps)
        while log:
            n = rng.choice((1, 7, 100, 1_000))
            for verdict, rows in driven.step(log[:n]):
                _, wanted = next(steps)
                found.other["verdicts"] += verdict != wanted.verdict
                found.replay.update(_differ(rows, wanted.groups))
            log = log[n:]
            if rng.random() < 0.1:
                driven.restart()


def features_of(judge: Judge) -> Iterator[tuple[str, FeatureSpec]]:
    """Yield every feature with its group's key."""
    for group in judge.groups:
        for feature in group.features:
            yield group.key, feature
