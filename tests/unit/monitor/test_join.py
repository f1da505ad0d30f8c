"""Rows, predictions and labels of one event find each other in whichever order they come."""

import itertools
from collections.abc import Callable

import pytest

from millrace_monitor.core.accuracy import Known
from millrace_monitor.core.join import Answer, Believed, Join, News
from millrace_monitor.core.saved import encode, entry_of

HOUR_US = 3_600_000_000


def answer(at_us: int = 0, *, decision: bool = True) -> Answer:
    """Return a prediction."""
    return Answer(at_us, 0, 0, "d", "1", 0.8, decision, None, None)


def join(*, default: bool | None, matures_after_us: int = HOUR_US) -> Join:
    """Return an empty join with windows of a minute."""
    return Join.of(default=default, matures_after_us=matures_after_us, window_us=60_000_000)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("default", [None, False])
def test_an_event_is_graded_once_in_every_order(order: tuple[int, ...], default: bool | None) -> None:
    """Row, prediction and label may come in any order: graded once, with the label that came."""
    found, news = join(default=default), News()
    steps: tuple[Callable[[], object], ...] = (
        lambda: found.row("e", 0, news),
        lambda: found.answer("e", answer(), news),
        lambda: found.label("e", True, 10, news),
    )
    for step in order:
        steps[step]()
    found.advance(2 * HOUR_US, news)

    assert [(one.answer.version, one.truth) for one in news.graded] == [("1", True)]
    assert [one.truth for one in news.believed] == [True]


def test_a_default_counts_at_maturity_and_no_label_before_it() -> None:
    """With a default, positives wait for the negatives of their time: both count at maturity, in event time."""
    found, news = join(default=False), News()
    for name in ("fraud", "honest"):
        found.row(name, 0, news)
        found.answer(name, answer(), news)
    found.label("fraud", True, 10, news)
    found.advance(HOUR_US - 1, news)
    assert news.graded == []

    found.advance(HOUR_US, news)

    assert sorted(one.truth for one in news.graded) == [False, True]
    assert {one.known_us for one in news.believed} == {HOUR_US}


def test_the_newest_label_before_maturity_wins_and_null_withdraws() -> None:
    """A later label replaces an earlier one, a label seen earlier does not, null leaves the default."""
    found, news = join(default=False), News()
    for name in ("replaced", "withdrawn"):
        found.row(name, 0, news)
        found.answer(name, answer(), news)
        found.label(name, True, 10, news)
    found.label("replaced", False, 20, news)
    found.label("replaced", True, 15, news)
    found.label("withdrawn", None, 20, news)
    found.advance(HOUR_US, news)

    assert [one.truth for one in news.graded] == [False, False]


def test_a_label_without_its_event_is_an_orphan_in_the_end() -> None:
    """It grades nothing, is not a labelled row, and is counted when it is forgotten."""
    found, news = join(default=False), News()
    found.label("nobody", True, 0, news)
    found.advance(2 * HOUR_US + 120_000_000, news)

    assert (news.orphans, news.graded, news.believed) == (1, [], [])
    assert found.entries == {}


def test_what_is_done_with_is_forgotten_and_named_as_changed() -> None:
    """Entries leave two windows after maturity, and the store is told which."""
    found, news = join(default=False), News()
    found.row("e", 0, news)
    found.changed.clear()
    found.advance(2 * HOUR_US, news)

    assert found.entries == {}
    assert found.changed == {"e"}


def test_a_stored_join_goes_on_where_it_stopped() -> None:
    """Entries that were written and read again mature as the others would have."""
    found, news = join(default=False), News()
    found.row("e", 0, news)
    found.answer("e", answer(decision=False), news)
    again = join(default=False)
    again.restore({name: entry_of(encode(entry)) for name, entry in found.entries.items()})
    again.advance(HOUR_US, news)

    assert [(one.answer.decision, one.truth) for one in news.graded] == [(False, False)]


def test_a_prediction_after_its_event_was_graded_changes_nothing() -> None:
    """Of several predictions of one event the first counts."""
    found, news = join(default=None), News()
    found.row("e", 0, news)
    assert found.answer("e", answer(), news)
    found.label("e", True, 5, news)
    assert not found.answer("e", answer(decision=False), news)

    assert len(news.graded) == 1


def test_the_last_known_label_was_known_before_the_event() -> None:
    """A label that becomes known at the very time of the event does not count as known, nor do later ones."""
    known = Known()
    for at, truth in ((10, True), (20, False), (30, False)):
        known.add(Believed(at, truth))

    assert known.before(10) == (None, None)
    assert known.before(20) == (True, True)
    assert known.before(31) == (False, False)
