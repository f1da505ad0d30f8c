"""All that is kept of one entity, and the one step by which an event changes it.

An entity type has one plan for each topic that feeds it: its own events on raw-data, and copies of others' events on
`raw-data.by-<entity type>`. Log order is the truth: a row sees the entity's earlier events of the log whose event time
lies in [t - window, t).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from millrace.spec import Deployment, EventSpec, Scalar
from millrace_engine import horizon as horizons
from millrace_engine.groups import Group, compile_group
from millrace_engine.horizon import Seen, Stamp, digest
from millrace_engine.rings import NEVER_US, Ring
from millrace_engine.values import COPIES, Header

Verdict = Literal["counted", "duplicate", "late", "applied"]
Rows = dict[str, dict[str, Scalar]]
"""{group key: {feature: value}}."""


class Happened(Protocol):
    """What a step needs to know of an event."""

    @property
    def spec(self) -> EventSpec:
        """Return its class."""
        ...

    @property
    def time_us(self) -> int:
        """Return when it happened."""
        ...

    @property
    def fields(self) -> Mapping[str, Scalar]:
        """Return its fields."""
        ...


class Step(NamedTuple):
    """What came of an event. `applied`: the state already stands past this offset. `groups` is empty unless counted."""

    verdict: Verdict
    groups: Rows


class Encoded(NamedTuple):
    """An entity's state as the store keeps it; a group whose event never happened has no value."""

    horizon: bytes
    values: tuple[bytes | None, ...]


@dataclass(slots=True)
class EntityState:
    """What is known of one entity. Changed in place by a step; equal to decode(encode(itself)) at all times."""

    offset: int
    append_time_us: int
    seen: list[Seen]
    rings: list[Ring]


def compile_entity(deployment: Deployment, entity_type: str, *, copies: bool = False) -> "EntityPlan":
    """Compile what is kept of entities of a type: fed by raw-data or, with `copies`, by raw-data.by-<entity type>.

    Raises ValueError naming a feature that cannot be computed.
    """
    groups = tuple(
        compile_group(group)
        for group in sorted(deployment.groups.values(), key=lambda group: group.key)
        if group.entity_type == entity_type and copies == (group.by != deployment.events[group.event].entity_fields)
    )
    feeding = {group.spec.event for group in groups}
    events = tuple(
        event
        for event in sorted(deployment.events.values(), key=lambda event: event.type)
        if (event.type in feeding if copies else event.entity_type == entity_type)
    )
    return EntityPlan(entity_type, events, groups, copies)


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """How entities of one type are kept, and by which events they change."""

    entity_type: str
    events: tuple[EventSpec, ...]
    groups: tuple[Group, ...]
    copies: bool
    group_keys: tuple[str, ...] = field(init=False)
    set: bytes = field(init=False)
    """What makes states of two plans interchangeable, in 4 bytes: the groups, and how events are let in."""
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group_keys", tuple(group.spec.key for group in self.groups))
        events = [f"{event.type} {event.lateness_us} {event.dedupe_us}" for event in self.events]
        content = "\n".join((*events, *self.group_keys)).encode()
        object.__setattr__(self, "set", hashlib.blake2b(content, digest_size=4).digest())
        object.__setattr__(self, "_places", {event.type: i for i, event in enumerate(self.events)})

    @property
    def reach_us(self) -> int | None:
        """Return how long before an event others may lie that its row depends on; None: anywhere before it.

        That is the longest window or id horizon and the lateness on top; `last` without a window has no bound.
        """
        windows = [feature.window_us for group in self.groups for feature in group.spec.features]
        if any(window is None for window in windows):
            return None
        bounds = [window for window in windows if window is not None] + [event.dedupe_us for event in self.events]
        return max(bounds, default=0) + max((event.lateness_us for event in self.events), default=0)

    def empty(self) -> EntityState:
        """Return the state of an entity that was never seen."""
        return EntityState(-1, 0, [Seen() for _ in self.events], [group.empty() for group in self.groups])

    def decode(self, values: Sequence[bytes | None], horizon: bytes | None) -> EntityState:
        """Return the state that was stored; one of another set of groups counts as never stored.

        `values` in the order of `group_keys`. Raises Unreadable.
        """
        if horizon is None:
            return self.empty()
        stamp, seen = horizons.unpack(horizon)
        if stamp.set != self.set:
            return self.empty()
        rings = [
            group.empty() if value is None else group.decode(value)
            for group, value in zip(self.groups, values, strict=True)
        ]
        return EntityState(stamp.offset, stamp.append_time_us, seen, rings)

    def encode(self, state: EntityState, *, partition: int) -> Encoded:
        """Return the bytes to store; `partition` is the source's."""
        stamp = Stamp(self.set, state.offset, state.append_time_us)
        values = tuple(
            self._value(group, ring, state, partition) for group, ring in zip(self.groups, state.rings, strict=True)
        )
        return Encoded(horizons.pack(stamp, state.seen), values)

    def step(self, state: EntityState, event: Happened, event_id: str, offset: int, *, append_time_us: int = 0) -> Step:
        """Judge an event and, where it counts, compute the groups at its time and enter it into the state.

        Duplicates are judged first, then lateness, against the newest event of the same type of this entity. An event
        that refers to another (a label) has no windows of its own and is never late.
        """
        if offset <= state.offset:
            return Step("applied", {})
        spec, time_us = event.spec, event.time_us
        seen = state.seen[self._places[spec.type]]
        id_digest = digest(event_id)
        if seen.holds(id_digest, spec.dedupe_us):
            return Step("duplicate", {})
        if (self.copies or not spec.refers_to) and time_us < seen.newest_us - spec.lateness_us:
            return Step("late", {})
        rows = self._enter(state, event)
        seen.add(id_digest, time_us, spec.dedupe_us)
        self._trim(state, spec, seen.newest_us)
        state.offset, state.append_time_us = offset, append_time_us
        return Step("counted", rows)

    def missing(self) -> Rows:
        """Return rows in which every feature is missing: what a late copy leaves."""
        return {group.spec.key: {feature.name: None for feature in group.features} for group in self.groups}

    def _enter(self, state: EntityState, event: Happened) -> Rows:
        rows: Rows = {}
        for group, ring in zip(self.groups, state.rings, strict=True):
            if group.spec.event == event.spec.type:
                arguments = group.arguments(event.fields)
                rows[group.spec.key] = group.values(ring, event.time_us, arguments)
                ring.append(event.time_us, arguments)
            else:
                rows[group.spec.key] = group.values(ring, event.time_us)
        return rows

    def _trim(self, state: EntityState, spec: EventSpec, newest_us: int) -> None:
        for group, ring in zip(self.groups, state.rings, strict=True):
            if group.spec.event == spec.type:
                group.trim(ring, newest_us - spec.lateness_us)

    def _value(self, group: Group, ring: Ring, state: EntityState, partition: int) -> bytes | None:
        place = self._places[group.spec.event]
        newest_us = state.seen[place].newest_us
        if newest_us == NEVER_US:
            return None
        exact_from_us = newest_us - self.events[place].lateness_us
        flags = COPIES if self.copies else 0
        write_us = state.append_time_us
        header = Header(flags, self.set, state.offset, partition, newest_us, write_us, 0, exact_from_us)
        return group.encode(ring, header)
