"""Rows written column by column against the codec, which says what a row is."""

import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.fakes.features.deployment import CARD_SPEND, MINUTE, PAYMENT, SHOP_TAKINGS, VISIT, deployment
from tests.fakes.features.stage import NOON_US
from tests.unit.oracles.tables import rows_of

from millrace.spec import EventSpec, Scalar
from millrace_common.codec import encode, rfc3339
from millrace_common.ids import row_id
from millrace_common.messages import FeatureRow, Position
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_engine.entity import EntityPlan, compile_entity
from millrace_engine.events import compile_events
from millrace_engine.texts import times
from millrace_features.core.feeds import compile_feeds
from millrace_features.core.intake import Intake
from millrace_features.core.lots import Lot
from millrace_features.core.rows import compile_rows

SECOND_GROUP = replace(CARD_SPEND, name="CardAgain", features=CARD_SPEND.features[:3], hash="0a" * 16)
ODD = replace(CARD_SPEND, name="Odd", features=(replace(CARD_SPEND.features[4], name="sum of allé"),), hash="0b" * 16)
DEPLOYMENT = deployment(CARD_SPEND, SECOND_GROUP, ODD, SHOP_TAKINGS, label=None)
FEED = compile_feeds(DEPLOYMENT).by_topic["raw-data"]
EVENTS = compile_events(DEPLOYMENT)
CARD = FEED.plans["card"]
NONE = compile_entity(deployment(), "card")

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def lot_of(spec: EventSpec, events: list[dict[str, Scalar]]) -> Lot:
    """Return events as the intake admits them, every entity at home."""
    records = [
        Record("raw-data", 2, 40 + i, None, encoded(event), (("ce_type", spec.type.encode()),), NOON_US)
        for i, event in enumerate(events)
    ]
    known = {"card": {str(event["card"]): 0 for event in events}}
    batch = Batch(TopicPartition("raw-data", 2), records)
    (lot,) = Intake(EVENTS, FEED, 4).admit(batch, known, []).lots
    return lot


def encoded(event: dict[str, Scalar]) -> bytes:
    """Return an event's JSON."""
    return json.dumps(event).encode()


def slowly(lot: Lot, plan: EntityPlan, values: NDArray[np.float32], *, spine: bool, late: bool) -> list[Outgoing]:
    """Return the rows one by one, as the codec writes the message."""
    rows = []
    for i, record in enumerate(lot.records):
        message = FeatureRow(
            row_id=row_id(plan.entity_type, lot.spec.type, lot.event_ids[i], plan.group_keys),
            event_type=lot.spec.type,
            event_id=lot.event_ids[i],
            entity_type=plan.entity_type,
            entity_id=lot.entity_ids[i],
            spine=spine,
            event_time_us=int(lot.times_us[i]),
            append_time_us=int(lot.appends_us[i]),
            source=Position(topic=record.topic, partition=record.partition, offset=record.offset),
            late=late,
            groups=rows_of(plan, values[i]),
            fields={name: column[i] for name, column in lot.fields.items()} if spine else None,
        )
        rows.append(encode(message, cause_offset=record.offset))
    return rows


@settings(max_examples=50, deadline=None)
@given(st.data(), st.booleans(), st.booleans())
def test_rows_have_the_bytes_that_the_codec_gives_them(data: st.DataObject, spine: bool, late: bool) -> None:
    """Value, key, headers and cause of each row are those of the FeatureRow, whatever its texts and numbers are."""
    events = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "payment_id": texts,
                    "card": texts,
                    "merchant": st.none() | texts,
                    "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                    "ts": st.integers(-62_135_596_800_000, 1_700_000_000_000),
                }
            ),
            min_size=1,
            max_size=4,
        )
    )
    lot = lot_of(PAYMENT, events)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = (len(lot), len(CARD.features))
    exact = rng.choice([0.0, 1.0, 64.0, 2.0**53, 3.4e38, np.nan], shape)
    values = np.where(rng.random(shape) < 0.5, exact, rng.standard_normal(shape)).astype(np.float32)
    writer = compile_rows(CARD, PAYMENT, spine=spine, aligned=False)
    rows = writer.write(lot, writer.ids(lot.event_ids), values, late=late)
    assert list(rows) == slowly(lot, CARD, values, spine=spine, late=late)


def test_an_entity_without_groups_has_rows_of_no_groups() -> None:
    """The row of an event whose entity has no group says so with an empty object."""
    lot = lot_of(VISIT, [{"card": "c", "ts": 1_699_999_999_000}])
    writer = compile_rows(NONE, VISIT, spine=True, aligned=False)
    values = np.empty((1, 0), np.float32)
    rows = writer.write(lot, writer.ids(lot.event_ids), values)
    assert list(rows) == slowly(lot, NONE, values, spine=True, late=False)
    assert b'"groups":{}' in (rows[0].value or b"")


@given(st.lists(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), min_size=1))
def test_times_are_written_alike(times_us: list[int]) -> None:
    """Many at once, every time is the text that it is alone, of the years 1 to 9999."""
    assert times(np.array(times_us)).tobytes() == "".join(map(rfc3339, times_us)).encode()


def test_a_minute_has_sixty_seconds() -> None:
    """The plain case, so that both are not wrong alike."""
    assert times(np.array([MINUTE + 1])).tobytes() == b"1970-01-01T00:01:00.000001Z"
