"""Rows, predictions and late labels of the same events, joined by event id.

A label with a default is believed at maturity only (event time + `matures_after_us` behind the watermark), positives
and defaults alike: positives come first, and grading them as they come would call every model wrong. Without a default
a label is believed as it comes. Of several labels the newest seen before that counts; null withdraws; later ones change
nothing that was graded. Of several predictions of one event the first counts.
"""

import heapq
from dataclasses import dataclass, field

import msgspec

from millrace_common.messages import Scalar

ENTRIES_MAX = 1_000_000
HORIZON_US = 7 * 86_400_000_000
"""How long an event without a default waits for its label at least."""


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first prediction of an event: what it said, and what the two simplest models would have said."""

    at_us: int
    partition: int
    offset: int
    digest: str
    version: str
    confidence: float
    decision: bool
    last_known: bool | None
    majority: bool | None


class Graded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A prediction whose truth is known."""

    answer: Answer
    truth: bool


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What is known of one event."""

    time_us: int
    has_row: bool = False
    label: bool | None = None
    seen_us: int = -1
    is_believed: bool = False
    is_ripe: bool = False
    is_answered: bool = False
    answer: Answer | None = None

    @property
    def is_known(self) -> bool:
        """Say whether the event itself was seen, not only a label that refers to it."""
        return self.has_row or self.is_answered


class Believed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A label that counts from `known_us` on."""

    known_us: int
    truth: bool


@dataclass(slots=True)
class News:
    """What joining brought: labels now believed, predictions now graded, labels that no event came for."""

    believed: list[Believed] = field(default_factory=list)
    graded: list[Graded] = field(default_factory=list)
    orphans: int = 0


@dataclass(slots=True)
class Join:
    """The events that still wait for something. `changed` are the ids whose stored entry is out of date."""

    default: Scalar
    matures_after_us: int
    keep_us: int
    entries: dict[str, Entry] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    due: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, *, default: Scalar, matures_after_us: int, window_us: int) -> "Join":
        """Return an empty join; an event is forgotten two windows after its label could last matter."""
        waits_us = matures_after_us if default is not None else max(matures_after_us, HORIZON_US)
        return cls(default, matures_after_us, waits_us + 2 * window_us)

    def restore(self, entries: dict[str, Entry]) -> None:
        """Take stored entries over."""
        self.entries = entries
        self.due = [(self._due_us(entry), event_id) for event_id, entry in entries.items()]
        heapq.heapify(self.due)

    def row(self, event_id: str, time_us: int, news: News) -> bool:
        """Take an event's spine row; say whether it is new."""
        entry = self._entry(event_id, time_us)
        if entry.has_row:
            return False
        entry.has_row = True
        entry.time_us = time_us
        entry.is_ripe = False
        heapq.heappush(self.due, (self._due_us(entry), event_id))
        self._believe_at_once(entry, news)
        return True

    def label(self, event_id: str, value: Scalar, seen_us: int, news: News) -> None:
        """Take what was seen about an event."""
        entry = self._entry(event_id, seen_us)
        if entry.is_believed or seen_us < entry.seen_us:
            return
        entry.seen_us = seen_us
        entry.label = truth_of(value)
        self._believe_at_once(entry, news)

    def answer(self, event_id: str, answer: Answer, news: News) -> bool:
        """Take a prediction; say whether it is the first of its event."""
        entry = self._entry(event_id, answer.at_us)
        if entry.is_answered:
            return False
        entry.is_answered = True
        entry.answer = answer
        self._believe_at_once(entry, news)
        self._grade(entry, news)
        return True

    def advance(self, watermark_us: int, news: News) -> None:
        """Let events mature, and forget those that nothing more is expected of."""
        due = self.due
        while due and (due[0][0] <= watermark_us or len(self.entries) > ENTRIES_MAX):
            at_us, event_id = heapq.heappop(due)
            entry = self.entries.get(event_id)
            if entry is None or at_us != self._due_us(entry):
                continue
            self.changed.add(event_id)
            if not entry.is_ripe:
                self._ripen(entry, news)
                heapq.heappush(due, (self._due_us(entry), event_id))
            else:
                del self.entries[event_id]
                news.orphans += entry.label is not None and not entry.is_known

    def _entry(self, event_id: str, time_us: int) -> Entry:
        entry = self.entries.get(event_id)
        if entry is None:
            entry = self.entries[event_id] = Entry(time_us)
            heapq.heappush(self.due, (self._due_us(entry), event_id))
        self.changed.add(event_id)
        return entry

    def _due_us(self, entry: Entry) -> int:
        return entry.time_us + (self.keep_us if entry.is_ripe else self.matures_after_us)

    def _ripen(self, entry: Entry, news: News) -> None:
        entry.is_ripe = True
        if self.default is None or not entry.is_known:
            return
        if entry.label is None:
            entry.label = truth_of(self.default)
        self._believe(entry, entry.time_us + self.matures_after_us, news)

    def _believe_at_once(self, entry: Entry, news: News) -> None:
        """Believe a label that came for a known event, where no default has to be waited for."""
        if self.default is None and entry.is_known and not entry.is_believed:
            self._believe(entry, entry.seen_us, news)

    def _believe(self, entry: Entry, known_us: int, news: News) -> None:
        if entry.label is not None:
            entry.is_believed = True
            news.believed.append(Believed(known_us, entry.label))
            self._grade(entry, news)

    def _grade(self, entry: Entry, news: News) -> None:
        if entry.is_believed and entry.answer is not None and entry.label is not None:
            news.graded.append(Graded(entry.answer, entry.label))
            entry.answer = None


def truth_of(value: Scalar) -> bool | None:
    """Return a label's value as the truth of a binary model; None for null and for what is no truth value.

    >>> truth_of(True), truth_of(0), truth_of(None), truth_of("?")
    (True, False, None, None)
    """
    return bool(value) if isinstance(value, bool | int | float) else None
