"""A training set holds what was known at the cut, joined by event id, in order of time."""

import numpy as np
import pytest
from tests.fakes.trainer import GROUP, SECOND, deployment, history, label, row

from millrace_common.messages import FeatureRow, Label
from millrace_engine.views import compile_view
from millrace_trainer.core.assembly import Entry, Window, assemble, class_of
from millrace_trainer.core.dataset import Dataset, pack, unpack
from millrace_trainer.core.definition import view_of
from millrace_trainer.core.narrow import narrow
from millrace_trainer.core.plan import lesson_of
from millrace_trainer.core.tally import Tally
from millrace_trainer.core.task import Lesson


def lesson(**changes: object) -> Lesson:
    """Return the lesson of the test deployment."""
    of = deployment(**changes)  # type: ignore[arg-type]  # the test states them by name
    return lesson_of(of.models["fraud"], of)


def entries(messages: list[FeatureRow | Label], *, partition: int = 0) -> list[Entry]:
    """Number messages as one partition holds them."""
    return [(partition, offset, message) for offset, message in enumerate(messages)]


def assembled(
    messages: list[FeatureRow | Label], *, of: Lesson | None = None, cut: int = 1_000, window: Window | None = None
) -> Dataset:
    """Return the training set of messages in one partition."""
    of = of or lesson()
    view = compile_view(view_of(of.view))
    return assemble(entries(messages), of, view, cut={"0": cut}, window=window or Window())


def test_rows_meet_their_labels() -> None:
    """Each labelled row is there once, in order of event time, with the view's columns and the label's class."""
    dataset = assembled(list(reversed(history(20))))
    assert dataset.event_ids == tuple(f"e{i}" for i in range(20))
    assert dataset.entity_ids[8] == "card1"
    assert dataset.x.dtype == np.float32
    assert dataset.x.shape == (20, 3)
    assert np.isnan(dataset.x[11, 0])
    assert dataset.x[3, 1] == 3.0
    assert dataset.x[3, 2] == dataset.x[3, 0] / 4
    assert dataset.facts.rows == dataset.facts.labelled == 20
    assert dataset.facts.offsets == {"features": {"0": (0, 1_000)}}


def test_nothing_at_or_past_the_cut_is_seen() -> None:
    """A label that lies at the cut is not known yet."""
    assert assembled(history(10), cut=19).event_ids == tuple(f"e{i}" for i in range(9))


def test_the_newest_label_wins_and_null_withdraws() -> None:
    """Of several labels the newest by seen time, then by the log, counts; null takes the label back."""
    messages: list[FeatureRow | Label] = [
        row(0),
        label(0, True, seen_time_us=9),
        label(0, False, seen_time_us=8),
        row(1),
        label(1, False, seen_time_us=9),
        label(1, True, seen_time_us=9),
        row(2),
        label(2, True, seen_time_us=1),
        label(2, None, seen_time_us=2),
    ]
    dataset = assembled(messages)
    assert dict(zip(dataset.event_ids, dataset.y.tolist(), strict=True)) == {"e0": 1, "e1": 1}


def test_a_default_waits_for_maturity_and_so_does_a_label_beside_it() -> None:
    """With a default all rows count from maturity on and none before, so that early labels are not over-counted."""
    of = lesson(default=False, matures_after_us=10 * SECOND)
    messages: list[FeatureRow | Label] = [*(row(i) for i in range(21)), label(5, True), label(20, True)]
    dataset = assembled(messages, of=of)
    assert dataset.event_ids == tuple(f"e{i}" for i in range(11))
    assert dataset.y.tolist() == [int(i == 5) for i in range(11)]


def test_a_row_published_twice_counts_once_and_a_withdrawn_one_not_at_all() -> None:
    """The first row of an id counts; a withdrawal takes it out."""
    again = row(0, groups={GROUP: {"n": 99.0}})
    gone = row(1, op="withdrawn")
    dataset = assembled([row(0), row(1), label(0, True), label(1, True), again, gone])
    assert dataset.event_ids == ("e0",)
    assert dataset.x[0, 1] == 0.0


def test_groups_of_other_entities_are_joined() -> None:
    """A view's groups may lie in the row of another entity; until it is here the event is incomplete, not guessed."""
    spine = row(0, groups={})
    other = row(0, row_id="other", entity_type="card", spine=False, fields=None, groups={GROUP: {"n": 4.0}})
    dataset = assembled([spine, label(0, True), other])
    assert dataset.x[0, 1] == 4.0
    alone = assembled([spine, label(0, True)])
    assert len(alone) == 0
    assert alone.facts.incomplete == 1


def test_a_late_row_has_missing_features() -> None:
    """Groups of a late row are missing values: the row counts as it was served."""
    dataset = assembled([row(1, groups={}, late=True), label(1, True)])
    assert np.isnan(dataset.x[0, 1])


def test_rows_of_another_definition_are_skipped() -> None:
    """A row with the hash of another definition is not taken for ours."""
    dataset = assembled([row(1, groups={"Spend@bbbbbbbb": {"n": 1.0}}), label(1, True)])
    assert len(dataset) == 0
    assert dataset.facts.incomplete == 1


def test_orphans_and_labels_that_are_no_class_are_counted() -> None:
    """A label without a row is an orphan; a label that is not 0 or 1 is invalid."""
    facts = assembled([row(0), label(0, "maybe"), label(7, True)]).facts
    assert (facts.orphans, facts.invalid, facts.labelled) == (1, 1, 0)


def test_other_names_and_metrics_are_no_labels() -> None:
    """Only labels of the model's name and kind count."""
    assert len(assembled([row(0), label(0, True, name="Other"), label(0, True, kind="metric")])) == 0


def test_the_window_takes_the_newest_rows() -> None:
    """`rows_max` keeps the newest; `train_from` keeps rows since the change, unless they are too few."""
    messages = history(50)
    assert assembled(messages, window=Window(rows_max=10)).event_ids == tuple(f"e{i}" for i in range(40, 50))
    since = Window(train_from={"0": 60}, rows_min=5)
    assert assembled(messages, window=since).event_ids == tuple(f"e{i}" for i in range(30, 50))
    few = Window(train_from={"0": 98}, rows_min=8)
    assert assembled(messages, window=few).event_ids == tuple(f"e{i}" for i in range(42, 50))


def test_packed_and_unpacked_is_the_same() -> None:
    """A training set survives its bytes, and its digest with it."""
    dataset = assembled(history(20))
    again = unpack(pack(dataset))
    assert again.digest() == dataset.digest()
    assert (again.event_ids, again.entity_ids, again.facts) == (dataset.event_ids, dataset.entity_ids, dataset.facts)
    assert again.times_us.tolist() == dataset.times_us.tolist()


def test_the_digest_sees_values_labels_and_ids() -> None:
    """Any changed cell, label or id is another training set."""
    messages = history(20)
    digests = {
        assembled(messages).digest(),
        assembled([*messages[:-1], label(19, not messages[-1].value)]).digest(),  # type: ignore[union-attr]  # a label
        assembled([row(0, fields={"amount": 5.0}), *messages[1:]]).digest(),
        assembled([row(0, event_id="x"), label(0, event_id="x"), *messages[2:]]).digest(),
    }
    assert len(digests) == 4


@pytest.mark.parametrize(("value", "expected"), [(True, 1), (0, 0), (1.0, 1), (2, None), ("1", None), (None, None)])
def test_classes(value: str | float | None, expected: int | None) -> None:
    """A bool, 0 or 1 is a class; nothing else is guessed."""
    assert class_of(value) == expected


@pytest.mark.parametrize("default", [None, False])
def test_the_tally_counts_what_the_assembly_finds(default: bool | None) -> None:
    """Counted record by record, shuffled and told twice, it is the number of labelled rows of the assembly."""
    of = lesson(default=default, matures_after_us=10 * SECOND)
    messages: list[FeatureRow | Label] = [
        *history(40),
        label(3, None, seen_time_us=99 * SECOND),
        label(99, True),
        row(50),
    ]
    shuffled = [messages[i] for i in np.random.default_rng(4).permutation(len(messages))]
    tally = Tally(of)
    for entry in entries(shuffled) * 2:
        fact = narrow(entry)
        if fact.kind == "row":
            tally.row(fact.event_id, fact.time_us)
        else:
            tally.label(fact.event_id, (fact.time_us, fact.partition, fact.offset), given=fact.counts)
    facts = assembled(shuffled, of=of).facts
    assert tally.labelled == facts.labelled
    assert tally.watermark_us == facts.watermark_us
    assert tally.labelled == (39 if default is None else 40)
