"""`POST /v1/events`, through its HTTP door, onto a bus in memory."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from tests.fakes.ingest import Broker, deployment

from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.host import Host
from millrace_common.ids import event_id_at
from millrace_common.keys import partition_of
from millrace_common.records import Record
from millrace_common.topics import EVENT_BYTES_MAX
from millrace_ingest.core.requests import BODY_BYTES_MAX
from millrace_ingest.service import build

NOW_US = 1_700_000_000_000_000
TS = "2023-11-14T22:13:20Z"
DAY_US = 86_400_000_000


def payment(number: int = 1, **changed: object) -> dict[str, object]:
    """Return a good event."""
    return {"type": "payment", "payment_id": f"p{number}", "card": f"c{number}", "amount": 1.5, "ts": TS, **changed}


@dataclass(slots=True)
class Stage:
    """Ingest on a bus of four partitions."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOW_US))
    bus: MemoryBus = field(init=False)
    broker: Broker = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.bus = MemoryBus(self.clock, 4)
        self.broker = Broker(self.bus)
        service = build(Host(deployment(), self.broker, self.clock, "0", "test"), answer_seconds_max=0.05)
        assert service.app is not None
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://ingest")

    async def post(self, body: object, **headers: str) -> httpx.Response:
        """Post bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/v1/events", content=content, headers=named)

    def records(self) -> list[Record]:
        """Return what lies on raw-data, by partition and offset."""
        return [record for log in self.bus.log["raw-data"] for record in log]


async def test_an_event_is_on_the_broker_before_it_is_accepted() -> None:
    """202 with id, partition and offset; the record has CloudEvents headers, the entity as key, the value as sent."""
    stage = Stage()

    answer = await stage.post(payment(), traceparent="00-abc-def-01")

    (record,) = stage.records()
    place = {"topic": "raw-data", "partition": partition_of("c1", 4), "offset": 0}
    assert (answer.status_code, answer.json()) == (202, {"accepted": [{"id": "p1", **place}]})
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"p1",
        "ce_type": b"payment",
        "ce_source": b"/millrace/ingest",
        "ce_time": b"2023-11-14T22:13:20.000000Z",
        "traceparent": b"00-abc-def-01",
    }
    assert record.key == b"c1"
    assert json.loads(record.value or b"") == {key: value for key, value in payment().items() if key != "type"}


async def test_a_value_without_a_type_is_kept_byte_for_byte() -> None:
    """Only the reserved field is taken away; what stays keeps its spelling."""
    stage = Stage()
    body = b'{"payment_id":"p1", "card":"c1","amount":1.50,"type":"payment","ts":"2023-11-14T22:13:20Z"}'

    await stage.post(body)

    assert b'"amount":1.50' in (stage.records()[0].value or b"")
    assert b"type" not in (stage.records()[0].value or b"")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([payment(1), payment(2)]).encode(),
        b"\n\n" + json.dumps(payment(1)).encode() + b"\r\n\n" + json.dumps(payment(2)).encode(),
    ],
)
@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-www-form-urlencoded"])
async def test_a_list_and_json_lines_are_told_apart_by_what_stands_there(body: bytes, content_type: str) -> None:
    """The content type is not looked at."""
    stage = Stage()

    answer = await stage.post(body, content_type=content_type)

    assert [one["id"] for one in answer.json()["accepted"]] == ["p1", "p2"]
    assert len(stage.records()) == 2


async def test_one_object_may_spread_over_lines() -> None:
    """Pretty-printed JSON is one event."""
    stage = Stage()

    assert (await stage.post(json.dumps(payment(), indent=2).encode())).status_code == 202
    assert len(stage.records()) == 1


async def test_one_refused_event_refuses_the_request_and_publishes_nothing() -> None:
    """All or nothing: each failure names its event and field."""
    stage = Stage()
    events = [payment(1), payment(2, amount=-1), payment(3, amount="x"), {"type": "payment"}]

    answer = await stage.post(events)

    assert answer.status_code == 422
    assert [(one["index"], one["field"], one["reason"]) for one in answer.json()["failures"]] == [
        (1, "amount", "out-of-range"),
        (2, "amount", "wrong-type"),
        (3, "payment_id", "missing-field"),
    ]
    assert answer.json()["failures"][0]["event_id"] == "p2"
    assert "event 1" in answer.json()["error"]
    assert "amount" in answer.json()["error"]
    assert stage.records() == []


@pytest.mark.parametrize(
    ("body", "reason", "place"),
    [
        (b"hello", "not-json", None),
        (b"\xff\xfe", "not-json", None),
        (b"[1, 2", "not-json", None),
        (b"[1]", "not-object", None),
        (
            b'{"type":"payment","payment_id":"p","card":"c","amount":NaN,"ts":"2023-11-14T22:13:20Z"}',
            "wrong-type",
            None,
        ),
        (b'{"type":"nothing"}', "unknown-type", "type"),
        (b'{"payment_id":"p"}', "unknown-type", "type"),
        (json.dumps(payment(ts="2023-11-14T22:13:51Z")).encode(), "future", "ts"),
        (json.dumps(payment(colour="red")).encode(), "unknown-field", "colour"),
        (json.dumps(payment(card="")).encode(), "out-of-range", "card"),
        (b"[" * 100_000, "too-deep", None),
        (b'{"type":"payment","card":' + b"[" * 100_000, None, None),
        (json.dumps(payment()).encode() + b"\n{broken", "not-json", None),
    ],
)
async def test_bad_input_is_told_what_to_mend(body: bytes, reason: str | None, place: str | None) -> None:
    """422 with a stable reason; the process stays up and nothing is published."""
    stage = Stage()

    answer = await stage.post(body)

    assert answer.status_code == 422, answer.text
    (failure,) = answer.json()["failures"]
    assert reason in (None, failure["reason"])
    assert place in (None, failure.get("field"))
    assert stage.records() == []
    assert (await stage.post(payment())).status_code == 202


@pytest.mark.parametrize("body", [b"", b" \n", b"[]", b"[ ]"])
async def test_an_empty_body_is_a_400(body: bytes) -> None:
    """There is no event to refuse."""
    assert (await Stage().post(body)).status_code == 400


async def test_an_event_over_its_limit_is_a_413() -> None:
    """The answer names the event and the limit."""
    stage = Stage()

    answer = await stage.post([payment(1), payment(2, card="c" * EVENT_BYTES_MAX)])

    assert (answer.status_code, "event 1" in answer.json()["error"]) == (413, True)
    assert stage.records() == []


async def test_a_body_over_its_limit_is_a_413_before_it_is_read() -> None:
    """By its stated length, or as soon as it is over: the rest is never asked for."""
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while asked < 100:
            asked += 1
            yield b" " * (1 << 20)

    stage = Stage()
    answer = await stage.client.post("/v1/events", content=endless())
    stated = await stage.client.post("/v1/events", content=b"{}", headers={"Content-Length": str(BODY_BYTES_MAX + 1)})

    assert (answer.status_code, stated.status_code) == (413, 413)
    assert asked < 20


@pytest.mark.parametrize("mood", ["unavailable", "unknown", "silent"])
async def test_a_silent_broker_is_a_503_and_never_a_hang(mood: str) -> None:
    """With Retry-After; the same request goes through once the broker is back."""
    stage = Stage()
    stage.broker.mood = mood

    answer = await stage.post(payment(), idempotency_key="k")
    stage.broker.mood = "well"
    again = await stage.post(payment(), idempotency_key="k")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert again.status_code == 202
    assert {record.header("ce_id") for record in stage.records()} == {"p1"}


async def test_a_repeated_request_gets_the_same_answer_and_is_not_published_again() -> None:
    """By its `Idempotency-Key`, for a day."""
    stage = Stage()

    first = await stage.post(payment(), idempotency_key="k")
    second = await stage.post(payment(), idempotency_key="k")
    stage.clock.advance_to(NOW_US + DAY_US + 1)
    late = await stage.post(payment(), idempotency_key="k")

    assert first.json() == second.json()
    assert len(stage.records()) == 2
    assert late.status_code == 202


async def test_a_key_with_another_body_is_a_409() -> None:
    """Also when the first try got no answer; a refused body does not take the key."""
    stage = Stage()
    refused = await stage.post({"type": "payment"}, idempotency_key="k")
    stage.broker.mood = "unavailable"
    silent = await stage.post(payment(1), idempotency_key="k")
    stage.broker.mood = "well"
    other = await stage.post(payment(2), idempotency_key="k")

    assert [answer.status_code for answer in (refused, silent, other)] == [422, 503, 409]
    assert stage.records() == []


async def test_an_event_without_an_id_is_named_by_where_it_lies() -> None:
    """There is no ce_id then: the position decides."""
    stage = Stage()

    answer = await stage.post({"type": "click", "page": 7, "ts": TS})

    (record,) = stage.records()
    assert record.header("ce_id") is None
    assert answer.json()["accepted"][0]["id"] == event_id_at("raw-data", record.partition, 0)
    assert record.key == b"7"


async def test_a_key_names_events_that_name_none() -> None:
    """The id is a function of the key and the place in the request, so that a resend cannot make a double."""
    events = [{"type": "click", "page": 7, "ts": TS}, {"type": "click", "page": 8, "ts": TS}]
    ids = []
    for _ in range(2):  # two processes: the second knows nothing of the first
        stage = Stage()
        await stage.post(events, idempotency_key="k")
        ids.append(sorted(record.header("ce_id") or "" for record in stage.records()))

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
    assert "" not in ids[0]


async def test_a_label_event_is_keyed_by_what_it_refers_to_and_named_by_what_it_says() -> None:
    """A key of the request does not rename it."""
    stage = Stage()

    await stage.post({"type": "dispute", "payment_id": "p9", "ts": TS}, idempotency_key="k")

    (record,) = stage.records()
    assert (record.key, record.header("ce_id"), record.header("ce_type")) == (b"p9", None, "dispute")


async def test_an_overlong_key_is_refused() -> None:
    """Bounded, like everything that is kept."""
    answer = await Stage().post(payment(), idempotency_key="k" * 300)

    assert (answer.status_code, answer.json()["failures"][0]["field"]) == (422, "Idempotency-Key")
