"""Rows and labels of the log into a training set: joined by event id, as they were known at the cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from millrace.spec import Scalar
from millrace_common.messages import FeatureRow, Label
from millrace_engine.views import View
from millrace_trainer.core.dataset import Dataset, Facts
from millrace_trainer.core.task import Ends, Lesson

Entry = tuple[int, int, FeatureRow | Label]
"""A message with its partition and offset."""
Place = tuple[int, int, int]
"""Event time, partition, offset: the order of a training set."""


@dataclass(slots=True)
class Assembled:
    """What is known of one event: its spine row, the groups of all its rows, and whose row came late."""

    spine: FeatureRow | None = None
    place: Place = (0, 0, 0)
    groups: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)

    def add(self, row: FeatureRow, place: Place) -> None:
        """Take one row of the event."""
        self.groups.update(row.groups)
        if row.late:
            self.late.add(row.entity_type)
        if row.spine:
            self.spine, self.place = row, place

    def is_complete(self, needed: Mapping[str, str]) -> bool:
        """Say whether every group of the view is here; groups of a late row are missing values, not missing rows."""
        return all(key in self.groups or entity in self.late for key, entity in needed.items())


@dataclass(slots=True)
class Gathered:
    """What the log says about events of one type, by event id. Of equal row ids the first counts."""

    event_type: str
    label: str
    events: dict[str, Assembled] = field(default_factory=dict)
    labels: dict[str, tuple[Place, Scalar]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    """The first offset of each partition."""
    _rows: dict[str, tuple[FeatureRow, Place]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Take the next entry of a partition."""
        partition, offset, message = entry
        if partition not in self.first:
            self.first[partition] = offset
        if message.event_type != self.event_type:
            return
        if isinstance(message, FeatureRow):
            self._take_row(message, (message.event_time_us, partition, offset))
        elif message.name == self.label and message.kind == "label":
            self._take_label(message, (message.seen_time_us, partition, offset))

    def ranges(self, cut: Ends) -> dict[str, tuple[int, int]]:
        """Return the offsets that were taken of each partition, up to the cut."""
        return {str(partition): (first, cut[str(partition)]) for partition, first in sorted(self.first.items())}

    def _take_row(self, row: FeatureRow, place: Place) -> None:
        if row.op == "withdrawn":
            self._withdraw(row)
        elif row.row_id not in self._rows:
            self._rows[row.row_id] = (row, place)
            self.events.setdefault(row.event_id, Assembled()).add(row, place)

    def _withdraw(self, row: FeatureRow) -> None:
        """Forget a row: what is left of its event is put together anew."""
        if self._rows.pop(row.row_id, None) is None:
            return
        left = [kept for kept in self._rows.values() if kept[0].event_id == row.event_id]
        self.events[row.event_id] = Assembled()
        for kept, place in left:
            self.events[row.event_id].add(kept, place)

    def _take_label(self, label: Label, place: Place) -> None:
        before = self.labels.get(label.event_id)
        if before is None or place > before[0]:
            self.labels[label.event_id] = (place, label.value)


def assemble(entries: Iterable[Entry], lesson: Lesson, view: View, *, cut: Ends, window: "Window") -> Dataset:
    """Return the newest labelled rows before the cut, ordered by event time and then the log."""
    return dataset_of(gather(entries, lesson, cut=cut), lesson, view, cut=cut, window=window)


def dataset_of(gathered: "Gathered", lesson: Lesson, view: View, *, cut: Ends, window: "Window") -> Dataset:
    """Return the newest labelled rows of what was gathered before the cut, ordered by event time and then the log."""
    events = {event_id: event for event_id, event in gathered.events.items() if event.spine is not None}
    newest_us = max((event.place[0] for event in events.values()), default=0)
    watermark_us = newest_us - lesson.lateness_us
    truths, invalid = truths_of(events, gathered.labels, lesson, watermark_us=watermark_us)
    whole = [event_id for event_id in truths if events[event_id].is_complete(lesson.entity_types)]
    taken = window.newest(sorted(whole, key=lambda event_id: events[event_id].place), events)
    facts = Facts(
        offsets={FeatureRow.topic: gathered.ranges(cut)},
        watermark_us=watermark_us,
        rows=len(events),
        labelled=len(truths),
        orphans=sum(event_id not in events for event_id in gathered.labels),
        incomplete=len(truths) - len(whole),
        invalid=invalid,
    )
    rows = [events[event_id] for event_id in taken]
    return Dataset(
        x=view.matrix([(row.groups, (row.spine.fields if row.spine else None) or {}) for row in rows]),
        y=np.array([truths[event_id] for event_id in taken], np.int8),
        times_us=np.array([row.place[0] for row in rows], np.int64),
        event_ids=tuple(taken),
        entity_ids=tuple(row.spine.entity_id if row.spine else "" for row in rows),
        facts=facts,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Which labelled rows count: the newest `rows_max`; from `train_from` on, if that leaves at least `rows_min`."""

    rows_max: int | None = None
    train_from: Ends | None = None
    rows_min: int = 0

    def newest(self, ordered: list[str], events: Mapping[str, Assembled]) -> list[str]:
        """Return the event ids to learn from, out of all in order."""
        if self.train_from is not None:
            first = {int(partition): offset for partition, offset in self.train_from.items()}
            since = [e for e in ordered if events[e].place[2] >= first.get(events[e].place[1], 0)]
            ordered = since if len(since) >= self.rows_min else ordered[-max(self.rows_min, 1) :]
        return ordered if self.rows_max is None else ordered[-self.rows_max :]


def gather(entries: Iterable[Entry], lesson: Lesson, *, cut: Ends) -> Gathered:
    """Return what entries before the cut say about events of the lesson's type."""
    ends = {int(partition): end for partition, end in cut.items()}
    found = Gathered(lesson.event_type, lesson.label)
    for entry in entries:
        if entry[1] < ends.get(entry[0], 0):
            found.take(entry)
    return found


def truths_of(
    events: Mapping[str, Assembled],
    labels: Mapping[str, tuple[Place, Scalar]],
    lesson: Lesson,
    *,
    watermark_us: int,
) -> tuple[dict[str, int], int]:
    """Return the class of each labelled event, and how many labels were no class.

    With a default a row counts once it is mature, whatever was seen of it before: else the newest rows would be only
    those whose label came early.
    """
    truths: dict[str, int] = {}
    invalid = 0
    for event_id, event in events.items():
        if lesson.default is not None and event.place[0] + lesson.matures_after_us > watermark_us:
            continue
        seen = labels[event_id][1] if event_id in labels else None
        value = lesson.default if seen is None else seen
        if value is None:
            continue
        truth = class_of(value)
        if truth is None:
            invalid += 1
        else:
            truths[event_id] = truth
    return truths, invalid


def class_of(value: Scalar) -> int | None:
    """Return the class of a label's value; None where it is neither 0, 1 nor a bool.

    >>> class_of(True), class_of(0.0), class_of("yes")
    (1, 0, None)
    """
    if isinstance(value, bool | int | float) and value in (0, 1):
        return int(value)
    return None
