"""What the settle model is about: rules, events, the broker and the store. The worker: worker.py.

The model is the protocol of docs/settling.md with everything else left out: two partitions, small integers for time, a
store of whole calls. A rule is changed here first, and in the code after.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PARTITIONS = 2
LONG_AGO = -(10**9)


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


RAW, SIDE, ROWS, LATE = "raw-data", "raw-data.by-merchant", "features", "raw-data.late"
INPUTS = [Place(topic, partition) for topic in (RAW, SIDE) for partition in range(PARTITIONS)]
Origin = tuple[int, int]
"""Where a copy was made from, or an event lies: partition and offset."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force are the defaults. Each can be taken away, and `bug` plants a mistake."""

    token: Literal["unique", "counted", "none"] = "unique"
    """What a guard compares beside the offset: a value of this writer and call, a bare count, nothing (R3)."""
    guarded_load: bool = True
    """A load compares the guard before anything is published (R11)."""
    idle_check: bool = True
    """An idle partition compares the guard (R11)."""
    start: Literal["cursor", "least", "least-or-zero", "committed"] = "cursor"
    """Where to begin: at the cursor, else the log start (R8); the others are mistakes or weaker."""
    marks: bool = True
    """Copies are told by source partition and offset, not by the id horizon alone (R12)."""
    quiet: bool = True
    """Nothing is published again for offsets below the committed one (R8)."""
    one_call: bool = False
    """A batch's whole state goes in one call: then no token is needed."""
    together: bool = True
    """An entity's values and its id horizon change in the same call (R3)."""
    drop_cache: bool = True
    """A revoked partition forgets its cache (R11)."""
    sums: Literal["log", "batch", "f32"] = "log"
    """In log order, one event at a time; per batch; or rounded in the store only (R13)."""
    window: int = 0
    """0: aggregates are unbounded."""
    horizon: int = 4
    lateness: int = 6
    batch_min: int = 1
    batch_max: int = 5
    bug: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """An event or a copy of one; a copy names its origin."""

    id: str
    entity: int
    merchant: int
    time: int
    amount: float
    origin: Origin | None = None


class Values(NamedTuple):
    """A row's features: how many, their sum as written, the last three amounts."""

    n: int
    total: str
    last: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A feature row. `losses` counts the store's losses before it was emitted: for the checkers."""

    source: tuple[str, int, int]
    event_id: str
    values: Values
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """A partition's record in the store, in the slot of all its entities."""

    offset: int
    token: tuple[int, ...] = ()
    marks: tuple[Origin, ...] = ()


class StoredValues(NamedTuple):
    """The first of an entity's two keys: `ring` is (time, amount) in log order, `ghost` what was counted."""

    offset: int = -1
    ring: tuple[tuple[int, float], ...] = ()
    ghost: tuple[Origin, ...] = ()


class StoredHorizon(NamedTuple):
    """The second of an entity's two keys: the last ids seen and the newest event time."""

    offset: int = -1
    ids: tuple[str, ...] = ()
    newest: int = LONG_AGO


Stored = StoredValues | StoredHorizon
Key = tuple[int, Literal["v", "h"]]


@dataclass(frozen=True, slots=True)
class State:
    """An entity in memory: both of its keys."""

    values: StoredValues = field(default_factory=StoredValues)
    horizon: StoredHorizon = field(default_factory=StoredHorizon)


class Exit(Exception):
    """The process ends; the supervisor starts it again."""


@dataclass(slots=True)
class Broker:
    """Logs, committed offsets, and sends that may still land after their sender has died."""

    log: dict[Place, list[Event | Row]] = field(default_factory=lambda: defaultdict(list))
    first: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    committed: dict[Place, int] = field(default_factory=dict)
    generation: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    in_flight: list[tuple[Place, list[Event | Row]]] = field(default_factory=list)

    def commit(self, at: Place, offset: int, generation: int) -> None:
        """Commit, if the group is still as the member knew it."""
        if generation != self.generation[at]:
            raise Exit("commit refused: an older generation")
        self.committed[at] = offset


@dataclass(slots=True)
class Store:
    """A store of whole calls. A loss is a fail-over to a replica that lacks the last calls of one slot."""

    cursors: dict[Place, Cursor] = field(default_factory=dict)
    values: dict[tuple[Place, Key], Stored] = field(default_factory=dict)
    losses: int = 0
    _undo: list[tuple[Place, Cursor | None, dict[Key, Stored | None]]] = field(default_factory=list)

    def write(
        self, at: Place, expected: Cursor | None, values: Mapping[Key, Stored], cursor: Cursor | None, *, guard: bool
    ) -> None:
        """Write in one call: refused where the cursor record is not as expected, an older value never overwrites."""
        if guard and self.cursors.get(at) != expected:
            raise Exit("write refused: another owner, or a store that went back")
        new = {key: value for key, value in values.items() if not guard or self._is_newer(at, key, value)}
        self._undo.append((at, self.cursors.get(at), {key: self.values.get((at, key)) for key in new}))
        self.values.update({(at, key): value for key, value in new.items()})
        self._set_cursor(at, cursor)

    def _is_newer(self, at: Place, key: Key, value: Stored) -> bool:
        held = self.values.get((at, key))
        return held is None or value.offset > held.offset

    def _set_cursor(self, at: Place, cursor: Cursor | None) -> None:
        if cursor is None:
            self.cursors.pop(at, None)
        else:
            self.cursors[at] = cursor

    def lose(self, at: Place, calls: int) -> None:
        """Take back the last calls of a slot."""
        self.losses += 1
        for i in [i for i, (slot, _, _) in enumerate(self._undo) if slot == at][-calls:][::-1]:
            _, cursor, values = self._undo.pop(i)
            self._set_cursor(at, cursor)
            for key, value in values.items():
                if value is None:
                    self.values.pop((at, key), None)
                else:
                    self.values[at, key] = value

    def flush(self) -> None:
        """Lose everything."""
        self.losses += 1
        self.cursors.clear()
        self.values.clear()
        self._undo.clear()


def home(key: int) -> int:
    """Return the partition in which a key belongs."""
    return key % PARTITIONS


def key_of(topic: str, event: Event) -> int:
    """Return the entity that an event of this topic is about."""
    return event.entity if topic == RAW else event.merchant


def single(x: float) -> float:
    """Round to float32."""
    rounded: float = struct.unpack("f", struct.pack("f", x))[0]
    return rounded


def add(amounts: Iterable[float]) -> float:
    """Add one at a time; the built-in `sum` compensates since CPython 3.12."""
    total = 0.0
    for amount in amounts:
        total += amount
    return total


def features(ring: tuple[tuple[int, float], ...], rules: Rules, time: int, *, batch_from: int = 0) -> Values:
    """Return the row's values over [time - window, time). Entries before `batch_from` are older than this batch."""
    earliest = time - rules.window if rules.window else LONG_AGO
    old, new = (
        [amount for at, amount in part if earliest <= at < time] for part in (ring[:batch_from], ring[batch_from:])
    )
    total = add(old) + add(new) if rules.sums == "batch" else add(old + new)
    return Values(len(old + new), repr(total), tuple((old + new)[-3:]))
