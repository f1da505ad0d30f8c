"""The slow, obvious oracle of entity state, step by step as the semantics are written down.

The 64 newest counted events of an entity are kept as they are, what is older in tiles of a twelfth of each window. It
shares nothing with the engine but the definitions.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tests.unit.oracles.expressions import evaluated, number
from tests.unit.oracles.partials import SECOND_US, Partial, empty

from millrace.spec import EventSpec, FeatureSpec, GroupSpec, Scalar

RING = 64
TILES = 12
HALF_LIVES = 32
REMEMBERED = 1_024
FLOAT32_MAX = 3.4028234663852886e38
RING_ONLY = ("last", "time_since_last")
WHOLE = ("count", "distinct")

Fields = Mapping[str, Scalar]


@dataclass(frozen=True)
class Past:
    """One event."""

    event_id: str
    type: str
    time_us: int
    fields: Fields
    correction: str | None = None
    """`replace` or `withdraw`: what it does to the event of its id that came before; else it tells of a new one."""


@dataclass(frozen=True)
class Entry:
    """One event as a ring keeps it: what each feature takes of it, None where a feature leaves it out."""

    event_id: str
    time_us: int
    taken: tuple[float | None, ...]


@dataclass
class Tile:
    """What has left the ring with a time in [epoch, epoch + 1) * tile_us."""

    epoch: int
    partial: Partial


@dataclass(frozen=True)
class Row:
    """The features of an entity's groups at one event, {group key: {feature: value}}.

    Empty unless counted or corrected; of a withdrawn event all are missing.
    """

    verdict: str
    """`counted`, `duplicate` or `late`; of a correction `corrected`, `withdrawn` or `not-held`."""
    groups: dict[str, dict[str, Scalar]]


def window_of(feature: FeatureSpec) -> int | None:
    """Return the window that a feature looks back over; None: it counts events."""
    if feature.window_us is None and feature.half_life_us is not None and feature.events is None:
        return HALF_LIVES * feature.half_life_us
    return feature.window_us


def is_tiled(feature: FeatureSpec) -> bool:
    """Say whether what leaves the ring goes on to count for a feature."""
    return window_of(feature) is not None and feature.op not in RING_ONLY


class GroupOracle:
    """One entity in one group."""

    def __init__(self, spec: GroupSpec, lateness_us: int) -> None:
        """Begin without events."""
        self.spec = spec
        self.lateness_us = lateness_us
        self.ring: list[Entry] = []
        self.tiles: list[dict[int, Tile]] = [{} for _ in spec.features]
        """Of each feature, by place."""

    def enter(self, event: Past, newest_us: int) -> None:
        """Take a counted event in; `newest_us` is the newest event time of its type, this event's among them."""
        self.ring.append(self._entry(event))
        self.ring.sort(key=lambda entry: entry.time_us)
        if len(self.ring) > RING:
            self._leave(self.ring.pop(0), newest_us)
        windows = [window_of(feature) for feature in self.spec.features]
        if None not in windows:
            oldest = newest_us - self.lateness_us - max((window or 0 for window in windows), default=0)
            self.ring = [entry for entry in self.ring if entry.time_us >= oldest]

    def holds(self, event_id: str) -> bool:
        """Say whether an event is still in the ring."""
        return any(entry.event_id == event_id for entry in self.ring)

    def leave(self, event_id: str) -> None:
        """Take an event out of the ring: of two that had one id, the newer."""
        del self.ring[max(i for i, entry in enumerate(self.ring) if entry.event_id == event_id)]

    def values(self, at_us: int, current: Past | None = None) -> dict[str, Scalar]:
        """Return the group's features at a time; `current` is the event that is asked for, if it is of this group."""
        now = None if current is None else self._entry(current)
        windows = {window_of(feature) for feature in self.spec.features}
        inside = {window_us: self._inside(window_us, at_us) for window_us in windows}
        return {
            feature.name: self._value(i, at_us, _candidates(feature, inside[window_of(feature)], now), current)
            for i, feature in enumerate(self.spec.features)
        }

    def _entry(self, event: Past) -> Entry:
        return Entry(event.event_id, event.time_us, tuple(taken(feature, event) for feature in self.spec.features))

    def _leave(self, entry: Entry, newest_us: int) -> None:
        for feature, tiles, value in zip(self.spec.features, self.tiles, entry.taken, strict=True):
            window_us = window_of(feature)
            if window_us is None or not is_tiled(feature):
                continue
            tile_us = max(window_us // TILES, 1)
            index = entry.time_us // tile_us
            if index < (newest_us - self.lateness_us - window_us) // tile_us:
                continue
            place = index % ((window_us + self.lateness_us) // tile_us + 2)
            if place not in tiles or tiles[place].epoch != index:
                tiles[place] = Tile(index, empty(feature, window_us))
            if value is not None:
                tiles[place].partial.add(value, entry.time_us, (index + 1) * tile_us)

    def _value(self, i: int, at_us: int, entries: list[Entry], current: Past | None) -> Scalar:
        feature = self.spec.features[i]
        given = [(entry.time_us, value) for entry in entries if (value := entry.taken[i]) is not None]
        if feature.op == "last":
            return narrowed(given[-feature.n][1] if len(given) >= feature.n else None)
        if feature.op == "time_since_last":
            return narrowed((at_us - given[-1][0]) / SECOND_US if given else None)
        partial = self._merged(i, at_us)
        for time_us, value in given:
            partial.add(value, time_us, at_us)
        found = partial.value()
        if feature.op == "ratio":
            found = _ratio(feature, current, found)
        single = narrowed(found)
        return int(single) if feature.op in WHOLE and single is not None else single

    def _inside(self, window_us: int | None, at_us: int) -> list[Entry]:
        since = -math.inf if window_us is None else at_us - window_us
        return [entry for entry in self.ring if since <= entry.time_us < at_us]

    def _merged(self, i: int, at_us: int) -> Partial:
        feature = self.spec.features[i]
        window_us = window_of(feature)
        partial = empty(feature, window_us)
        if window_us is None or not is_tiled(feature):
            return partial
        tile_us = max(window_us // TILES, 1)
        wanted = range((at_us - window_us) // tile_us, (at_us - 1) // tile_us + 1)
        for tile in sorted(self.tiles[i].values(), key=lambda tile: tile.epoch):
            if tile.epoch in wanted:
                partial.merge(tile.partial, at_us - (tile.epoch + 1) * tile_us)
        return partial


class Oracle:
    """One entity: what it has counted of each event type, and its groups."""

    def __init__(self, groups: tuple[GroupSpec, ...], events: Mapping[str, EventSpec], *, copies: bool = False) -> None:
        """Begin without events. `copies`: others' events feed it, and each of them can be late."""
        self.copies = copies
        self.counted: dict[str, list[Past]] = {}
        self.newest: dict[str, int] = {}
        self.groups = [GroupOracle(group, events[group.event].lateness_us) for group in groups]

    def verdict(self, spec: EventSpec, event_id: str, time_us: int) -> str:
        """Judge an event: a duplicate of one within `dedupe_us` and the last 1,024, or late, or counted."""
        newest = self.newest.get(spec.type)
        if newest is None:
            return "counted"
        if self.knows(spec, event_id):
            return "duplicate"
        may_be_late = self.copies or not spec.refers_to
        return "late" if may_be_late and time_us < newest - spec.lateness_us else "counted"

    def knows(self, spec: EventSpec, event_id: str) -> bool:
        """Say whether an id was counted within `dedupe_us` and the last 1,024; one that was taken back stays known."""
        same = [past for past in self.counted.get(spec.type, ())[-REMEMBERED:] if past.event_id == event_id]
        return any(past.time_us >= self.newest[spec.type] - spec.dedupe_us for past in same)

    def step(self, spec: EventSpec, event: Past) -> Row:
        """Judge an event; where it counts, return its row and take it in. A correction goes its own way."""
        if event.correction is not None:
            return self._correct(spec, event)
        verdict = self.verdict(spec, event.event_id, event.time_us)
        return self._count(event, verdict) if verdict == "counted" else Row(verdict, {})

    def _correct(self, spec: EventSpec, event: Past) -> Row:
        """Take an event back that is known and in every ring of its type; enter it as it is told now, if it is."""
        own = [group for group in self.groups if group.spec.event == event.type]
        if not self.knows(spec, event.event_id) or not all(group.holds(event.event_id) for group in own):
            return Row("not-held", {})
        for group in own:
            group.leave(event.event_id)
        if event.correction == "replace":
            return self._count(event, "corrected")
        missing: dict[str, dict[str, Scalar]] = {
            group.spec.key: {feature.name: None for feature in group.spec.features} for group in self.groups
        }
        return Row("withdrawn", missing)

    def _count(self, event: Past, verdict: str) -> Row:
        row = Row(verdict, self.rows(event.time_us, event))
        self.counted.setdefault(event.type, []).append(event)
        newest = max(event.time_us, self.newest.get(event.type, event.time_us))
        self.newest[event.type] = newest
        for group in self.groups:
            if group.spec.event == event.type:
                group.enter(event, newest)
        return row

    def rows(self, at_us: int, current: Past | None = None) -> dict[str, dict[str, Scalar]]:
        """Return every group at a time."""
        return {
            group.spec.key: group.values(at_us, current if current and current.type == group.spec.event else None)
            for group in self.groups
        }


def _candidates(feature: FeatureSpec, inside: list[Entry], now: Entry | None) -> list[Entry]:
    entries = [*inside, now] if feature.include_current and now is not None else inside
    return entries if feature.events is None else entries[-feature.events :]


def taken(feature: FeatureSpec, event: Past) -> float | None:
    """Return what a feature takes of an event; None where it leaves it out."""
    if feature.where is not None and evaluated(feature.where, event.fields) is not True:
        return None
    return 1.0 if feature.argument is None else number(evaluated(feature.argument, event.fields))


def narrowed(value: float | None) -> float | None:
    """Return a value as a float32; missing where none is near."""
    if value is None or not abs(value) <= FLOAT32_MAX:
        return None
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single + 0.0


def _ratio(feature: FeatureSpec, current: Past | None, mean: float | None) -> float | None:
    if current is None or feature.argument is None or not mean:
        return None
    own = number(evaluated(feature.argument, current.fields))
    return None if own is None else own / mean
