"""All that is kept of entities of one type: the groups, the events that change them, and where that lies.

An entity type has one plan for each topic that feeds it: its own events on raw-data, and copies of others' events on
`raw-data.by-<entity type>`. Log order is the truth: a row sees the entity's earlier events of the log whose event time
lies in [t - window, t).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from millrace.spec import Deployment, EventSpec, FeatureSpec, Scalar
from millrace_engine.columns import column_name, references
from millrace_engine.groups import Group, compile_group
from millrace_engine.layout import Float64s, Layout, layout_of
from millrace_engine.values import FORMAT, IDS_MAGIC, word


def compile_entity(deployment: Deployment, entity_type: str, *, copies: bool = False) -> "EntityPlan":
    """Compile what is kept of entities of a type: fed by raw-data or, with `copies`, by raw-data.by-<entity type>.

    Raises ValueError naming a feature that cannot be computed.
    """
    specs = tuple(
        group
        for group in sorted(deployment.groups.values(), key=lambda group: group.key)
        if group.entity_type == entity_type and copies == (group.by != deployment.events[group.event].entity_fields)
    )
    feeding = {group.event for group in specs}
    events = tuple(
        event
        for event in sorted(deployment.events.values(), key=lambda event: event.type)
        if (event.type in feeding if copies else event.entity_type == entity_type)
    )
    set_ = _set(events, [group.key for group in specs])
    groups = tuple(compile_group(group, deployment.events[group.event], set_=set_, copies=copies) for group in specs)
    return EntityPlan(entity_type, events, groups, copies, set_)


def _set(events: Sequence[EventSpec], group_keys: Sequence[str]) -> bytes:
    of_events = [f"{event.type} {event.lateness_us} {event.dedupe_us}" for event in events]
    content = "\n".join((str(FORMAT), *of_events, *group_keys)).encode()
    return hashlib.blake2b(content, digest_size=4).digest()


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """How entities of one type are kept, and by which events they change."""

    entity_type: str
    events: tuple[EventSpec, ...]
    groups: tuple[Group, ...]
    copies: bool
    set: bytes
    """What makes states of two plans interchangeable, in 4 bytes: the groups, and how events are let in."""
    group_keys: tuple[str, ...] = field(init=False)
    features: tuple[FeatureSpec, ...] = field(init=False)
    """Of all groups, in order."""
    kinds: Mapping[str, int] = field(init=False)
    """The place of each event type."""
    reads: Mapping[str, tuple[str, ...]] = field(init=False)
    """The fields of each event type that features are computed from."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "group_keys", tuple(group.spec.key for group in self.groups))
        object.__setattr__(self, "features", tuple(feature for g in self.groups for feature in g.spec.features))
        object.__setattr__(self, "kinds", {event.type: i for i, event in enumerate(self.events)})
        object.__setattr__(self, "reads", {event.type: self._read(event.type) for event in self.events})

    def _read(self, event_type: str) -> tuple[str, ...]:
        groups = [group.spec for group in self.groups if group.spec.event == event_type]
        read = [one for group in groups for feature in group.features for one in (feature.argument, feature.where)]
        found = chain.from_iterable(references(expression) for expression in read if expression is not None)
        return tuple(dict.fromkeys(map(column_name, found)))

    @property
    def width(self) -> int:
        """Return how many argument columns all groups take."""
        return sum(group.columns.width for group in self.groups)

    @property
    def ids_word(self) -> bytes:
        """Return the first 8 bytes of an id horizon."""
        return word(IDS_MAGIC, len(self.events), self.set)

    @property
    def reach_us(self) -> int | None:
        """Return how long before an event others may lie that its row depends on; None: anywhere before it.

        That is the longest window or id horizon and the lateness on top; what counts events has no bound.
        """
        windows = [feature.window_us for feature in self.features]
        if any(window is None for window in windows):
            return None
        bounds = [window for window in windows if window is not None] + [event.dedupe_us for event in self.events]
        return max(bounds, default=0) + max((event.lateness_us for event in self.events), default=0)

    def layout(self, partition: int) -> Layout:
        """Return where everything of an entity lies."""
        columns = tuple(group.columns for group in self.groups)
        return layout_of(columns, self.events, copies=self.copies, partition=partition)

    def arguments(self, event_type: str, fields: Mapping[str, Sequence[Scalar]], n: int) -> Float64s:
        """Return what is kept of n events of one type, `[n, width]`; `fields` are their fields as columns."""
        table = np.full((n, self.width), np.nan)
        column = 0
        for group in self.groups:
            for evaluate in group.kernels:
                if group.spec.event == event_type:
                    table[:, column] = evaluate(fields, n)
                column += 1
        return table
