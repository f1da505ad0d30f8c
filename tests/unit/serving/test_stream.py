"""Scoring of the features stream."""

import msgspec
import pytest
from tests.fakes.serving.declared import CARD, MERCHANT, MODEL, row
from tests.fakes.serving.models import artifact, score_of
from tests.fakes.serving.stage import Stage, staged
from tests.fakes.serving.stored import stored_merchant

from millrace_common.clock import SystemClock, VirtualClock
from millrace_common.codec import encode
from millrace_common.errors import Unavailable
from millrace_common.ids import stream_prediction_id
from millrace_common.messages import FeatureRow, Label, Position, Prediction
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_serving.core.limits import Limits

AT = TopicPartition("features", 0)


async def scored(stage: Stage, *messages: FeatureRow | Label) -> list[Prediction]:
    """Return what the service publishes for a batch of messages."""
    records = await outgoing(stage, *messages)
    return [msgspec.json.decode(record.value or b"", type=Prediction) for record in records]


async def outgoing(stage: Stage, *messages: FeatureRow | Label) -> list[Outgoing]:
    """Return the records that the service publishes for a batch of messages."""
    log = stage.bus.log["features"][0]
    first = len(log)
    await stage.bus.publish([encode(message) for message in messages])
    return list((await stage.service.subscriptions[0].handler(Batch(AT, log[first:]))).publish)


async def test_a_row_is_scored_by_the_champion_on_its_own_groups_and_fields() -> None:
    """Score, vector and identity of a prediction follow from the row and the version in force."""
    stage = await staged(VirtualClock(5))
    digest = await stage.promote_new("7", artifact(0.25))

    [made] = await scored(stage, row(1, amount=12.5))

    assert made.vector == (12.5, 0.0, 3.0, 20.0, 0.0)
    assert made.score == pytest.approx(score_of(0.25, (12.5, 0.0, 3.0, 20.0, 0.0)), abs=1e-6)
    assert (made.version, made.digest, made.epoch, made.via, made.outcome) == ("7", digest, 1, "stream", "ok")
    assert (made.arm, made.propensity, made.role, made.vector_rate) == ("champion", 1.0, "answer", 1.0)
    assert made.prediction_id == stream_prediction_id(MODEL, "answer", "", row(1).row_id)
    assert made.entities == {"card": "4929", "merchant": "shop"}
    assert (made.key, made.event_id, made.at_us) == ("4929", "txn-1", row(1).event_time_us)
    assert made.decision is True
    assert made.groups[CARD.key].source == Position(topic="raw-data", partition=0, offset=1)


async def test_a_replay_of_the_rows_gives_the_same_bytes() -> None:
    """On the virtual clock nothing of a run but its input enters a prediction (R1)."""
    runs = []
    for _ in range(2):
        stage = await staged(VirtualClock(5))
        await stage.promote_new("1", artifact(0.0))
        runs.append([record.value for record in await outgoing(stage, *(row(number) for number in range(50)))])

    assert runs[0] == runs[1]
    assert b'"latency_us":null' in (runs[0][0] or b"")


async def test_a_latency_is_measured_on_a_real_clock() -> None:
    """Beside the machine's clock a prediction says how long it took."""
    stage = await staged(SystemClock())
    await stage.promote_new("1", artifact(0.0))

    [made] = await scored(stage, row(1))

    assert made.latency_us is not None
    assert made.latency_us > 0


async def test_rows_before_the_first_champion_are_passed_over_and_counted() -> None:
    """What cannot be scored is not scored later either."""
    stage = await staged(VirtualClock(5))
    before = await scored(stage, row(1), row(2))
    await stage.promote_new("1", artifact(0.0))
    after = await scored(stage, row(3))

    assert before == []
    assert [made.event_id for made in after] == ["txn-3"]
    counts = stage.service.counts()
    assert (counts["skipped_no_champion"], counts["scored"]) == (2, 1)


async def test_a_batch_scores_as_its_rows_one_by_one() -> None:
    """How rows are batched does not show in the predictions."""
    rows = [row(number, amount=float(number * 7 % 90), with_card=number % 3 > 0) for number in range(300)]
    stages = [await staged(VirtualClock(5)) for _ in range(2)]
    for stage in stages:
        await stage.promote_new("1", artifact(0.1))

    together = [record.value for record in await outgoing(stages[0], *rows)]
    singly = [record.value for each in rows for record in await outgoing(stages[1], each)]

    assert len(together) == 300
    assert together == singly


async def test_groups_of_other_entities_come_from_the_online_store_in_one_read() -> None:
    """A card's row is scored with its merchant's past as the store has it at the row's time."""
    stage = await staged(VirtualClock(5))
    await stage.promote_new("1", artifact(0.0))
    at_us = row(0).event_time_us
    stage.online.values["merchant", "shop", MERCHANT.key] = stored_merchant(4, at_us)

    made = await scored(stage, *(row(number) for number in range(20)))

    assert stage.online.reads == [1]
    assert {one.vector[4] for one in made if one.vector} == {4.0}
    facts = made[0].groups[MERCHANT.key]
    assert (facts.status, facts.source) == ("fresh", Position(topic="raw-data.by-merchant", partition=2, offset=41))
    assert made[0].flags == ()


@pytest.mark.parametrize(
    ("missing", "status", "vector", "error"),
    [
        ("default", "defaulted", (12.5, 0.0, 3.0, 20.0, None), None),
        ("last", "stale", (12.5, 0.0, 3.0, 20.0, 4.0), None),
        ("fail", "stale", None, f"{MERCHANT.key} is stale"),
    ],
)
async def test_a_value_of_a_store_that_is_rebuilt_is_stale_whatever_it_says(
    missing: str, status: str, vector: tuple[float | None, ...] | None, error: str | None
) -> None:
    """It may lack any number of events: each policy treats it as stale, and the prediction says why."""
    stage = await staged(VirtualClock(5), missing=missing)
    await stage.promote_new("1", artifact(0.0))
    stage.online.values["merchant", "shop", MERCHANT.key] = stored_merchant(4, row(1).event_time_us)
    stage.online.whole = False

    [made] = await scored(stage, row(1))

    assert (made.groups[MERCHANT.key].status, made.groups[CARD.key].status) == (status, "fresh")
    assert (made.vector, made.error, made.flags) == (vector, error, ("store-rebuilding",))


@pytest.mark.parametrize("missing", ["default", "last"])
async def test_an_entity_that_a_store_being_rebuilt_does_not_hold_is_not_taken_for_an_unseen_one(missing: str) -> None:
    """Nobody knows whether it has a past: its features are missing, not those of an entity without events."""
    stage = await staged(VirtualClock(5), missing=missing)
    await stage.promote_new("1", artifact(0.0))
    stage.online.whole = False

    [made] = await scored(stage, row(1))

    assert made.vector == (12.5, 0.0, 3.0, 20.0, None)
    assert made.flags == ("store-rebuilding",)


async def test_a_group_that_nobody_has_seen_has_the_values_of_an_entity_without_events() -> None:
    """A missing entity counts zero, as its first row in training does, and the prediction is flagged."""
    stage = await staged(VirtualClock(5))
    await stage.promote_new("1", artifact(0.0))

    [made] = await scored(stage, row(1, with_card=False))

    assert made.vector == (12.5, 0.0, 0.0, None, 0.0)
    assert {key: fact.status for key, fact in made.groups.items()} == {CARD.key: "missing", MERCHANT.key: "missing"}
    assert made.flags == ("missing",)


async def test_a_model_that_refuses_missing_groups_records_an_error() -> None:
    """`missing="fail"` never guesses: the prediction says what was missing, and guardrails count it."""
    stage = await staged(VirtualClock(5), missing="fail")
    await stage.promote_new("1", artifact(0.0))

    [made] = await scored(stage, row(1))

    assert (made.outcome, made.score, made.vector) == ("error", None, None)
    assert made.error == f"{MERCHANT.key} is missing"
    assert stage.service.counts()["errors"] == 1


async def test_only_spine_rows_that_stand_are_scored() -> None:
    """Rows of other entities, withdrawn rows and labels are no questions."""
    stage = await staged(VirtualClock(5))
    await stage.promote_new("1", artifact(0.0))
    label = Label(
        label_id="l", name="fraud", kind="label", origin="event", event_type="transaction", event_id="txn-1",
        source_event_id="c", value=True, seen_time_us=1, append_time_us=1,
        source=Position(topic="raw-data", partition=0, offset=9),
    )  # fmt: skip
    beside = msgspec.structs.replace(row(2), spine=False, entity_type="merchant", fields=None)
    withdrawn = msgspec.structs.replace(row(3), op="withdrawn")

    assert await scored(stage, label, beside, withdrawn) == []


async def test_a_model_asked_only_over_http_does_not_score_the_stream() -> None:
    """`score="request"` leaves rows alone."""
    stage = await staged(VirtualClock(5), score="request")
    await stage.promote_new("1", artifact(0.0))

    assert await scored(stage, row(1)) == []


async def test_what_does_not_decode_goes_to_the_dead_letters() -> None:
    """A broken record stops nothing: the rows around it are scored."""
    stage = await staged(VirtualClock(5))
    await stage.promote_new("1", artifact(0.0))
    await stage.bus.publish([Outgoing("features", b"k", b"{broken"), encode(row(1))])

    published = (await stage.service.subscriptions[0].handler(Batch(AT, stage.bus.log["features"][0]))).publish

    assert sorted(record.topic for record in published) == ["features.dlq", "predictions"]


async def test_the_stream_waits_for_the_online_store_and_then_ends_the_process() -> None:
    """A row is never scored with features that are only away: the log is replayed instead."""
    stage = await staged(VirtualClock(5), limits=Limits(stream_seconds_max=0.03, retry_seconds=0.01))
    await stage.promote_new("1", artifact(0.0))
    stage.online.away = True

    with pytest.raises(Unavailable, match="online store"):
        await scored(stage, row(1))

    stage.online.away = False
    assert len(await scored(stage, row(2))) == 1
