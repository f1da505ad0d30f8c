"""Bad events against a running platform, over HTTP and straight onto raw-data: docs/reference/bad-input.md holds."""

import asyncio
import json

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from tests.e2e.bad_events import BAD_EVENTS, HOUR_MS, BadEvent, changed
from tests.e2e.bad_input_page import proves, rows
from tests.e2e.live_platform import Live, now_ms, payment, until
from tests.e2e.live_topics import Raw, labels_of, rows_of, sent, source_of, spoken_of, tail

from millrace_common.codec import LETTER_BYTES_MAX
from millrace_common.keys import partition_of
from millrace_common.records import Record


def elsewhere(card: str, partitions: int = 4) -> int:
    """Return a partition in which a card does not belong."""
    return (partition_of(card, partitions) + 1) % partitions


BY_ROW = {case.row: case for case in BAD_EVENTS}
FORGED = {
    "forged-move": Raw(changed("forged-move"), headers=(("millrace-moved", b"somewhere"),)),
    "misplaced-copy": Raw(
        changed("misplaced-copy"),
        partition=elsewhere("card-misplaced-copy"),
        headers=(("millrace-moved", f"raw-data/0/0/{now_ms()}000".encode()),),
    ),
    "unborn-origin": Raw(
        changed("unborn-origin"), headers=(("millrace-moved", f"raw-data/0/999999999/{now_ms()}000".encode()),)
    ),
    "malformed-correction": Raw(changed("malformed-correction"), headers=(("millrace-correction", b"undo"),)),
    "corrected-label": Raw(
        json.dumps({"type": "chargeback", "txn_id": "corrected-label", "ts": now_ms()}).encode(),
        headers=(("millrace-correction", b"withdraw"),),
    ),
    "bad-dataschema": Raw(changed("bad-dataschema"), headers=(("ce_dataschema", b"latest"),)),
    "empty": Raw(b""),
    "no-value": Raw(None, b"any"),
    "nothing": Raw(None),
    "large-record": Raw(changed("large-record", merchant="m" * 400_000)),
}
REASONS = {
    "forged-move": "malformed-move",
    "misplaced-copy": "misplaced",
    "unborn-origin": "unborn-origin",
    "malformed-correction": "malformed-correction",
    "corrected-label": "malformed-correction",
    "bad-dataschema": "bad-dataschema",
    "empty": "empty-body",
    "no-value": "empty-body",
    "nothing": "empty-body",
    "large-record": "too-large",
}
EVENT_BYTES = 5 << 20


@pytest.fixture(scope="module")
def letters(live: Live) -> dict[str, tuple[Raw, tuple[int, int], Record]]:
    """By row: the bytes sent onto raw-data, where they came to lie, and their dead letter."""
    raws = {case.row: Raw(case.value, b"any") for case in BAD_EVENTS} | FORGED

    async def collected() -> dict[str, tuple[Raw, tuple[int, int], Record]]:
        bootstrap = live.endpoints.kafka_bootstrap_servers
        places = await sent(bootstrap, "raw-data", list(raws.values()))
        async with tail(bootstrap, "raw-data.dlq") as dead:
            found = await dead.until(lambda record: source_of(record) in places, count=len(places))
        by_source = {source_of(record): record for record in found}
        return {row: (raws[row], place, by_source[place]) for row, place in zip(raws, places, strict=True)}

    return asyncio.run(collected())


# --- one event at a time ---------------------------------------------------------------------------------------------
@proves(*BY_ROW)
@pytest.mark.parametrize("case", BAD_EVENTS, ids=BY_ROW)
def test_a_bad_event_over_http_is_answered_with_its_reason_and_field(live: Live, case: BadEvent) -> None:
    """422, naming the event, the reason and the field, as the page says."""
    answer = live.post("ingest", "/v1/events", case.value)

    assert answer.status_code == 422
    [failure] = answer.json()["failures"]
    assert (failure["index"], failure["reason"], failure["field"]) == (0, case.reason, case.field)
    assert case.reason in answer.json()["error"]
    assert (case.field or "event 0") in answer.json()["error"]
    assert rows()[case.row][1].startswith(f"422 `{case.reason}`")


@proves(*BY_ROW, *FORGED)
@pytest.mark.parametrize("row", [*BY_ROW, *FORGED])
def test_a_bad_record_on_raw_data_becomes_a_dead_letter(
    letters: dict[str, tuple[Raw, tuple[int, int], Record]], row: str
) -> None:
    """The original bytes, with the reason and where they lay; the headers that came are kept."""
    raw, (partition, offset), letter = letters[row]
    reason = BY_ROW[row].reason if row in BY_ROW else REASONS[row]

    assert (letter.value, letter.key) == (raw.value, raw.key)
    assert letter.headers[: len(raw.headers)] == raw.headers
    assert letter.header("millrace-reason") == reason
    assert letter.header("millrace-detail")
    assert letter.header("millrace-source-topic") == "raw-data"
    assert source_of(letter) == (partition, offset)
    if row in BY_ROW:
        assert letter.header("millrace-field") == BY_ROW[row].field
    assert rows()[row][2].startswith(f"`raw-data.dlq` `{reason}`")


# --- whole requests --------------------------------------------------------------------------------------------------
@proves("empty", "one-of-many", "too-large", "body-too-large", "key-reused")
def test_a_request_is_taken_whole_or_not_at_all(live: Live) -> None:
    """Of a request with one bad event nothing is published; an empty one and one too large are told so."""
    good, bad = payment("whole-1", "card-whole"), payment("whole-2", "card-whole", amount=-1)
    many = live.post("ingest", "/v1/events", json.dumps([good, bad]).encode())
    empty = live.post("ingest", "/v1/events", b" \n")
    large = live.post("ingest", "/v1/events", changed("too-large", merchant="m" * EVENT_BYTES))
    larger = live.post("ingest", "/v1/events", b"[" + b" " * (17 << 20) + b"]")
    first = live.post("ingest", "/v1/events", json.dumps(good).encode(), {"Idempotency-Key": "whole"})
    other = live.post("ingest", "/v1/events", json.dumps(bad | {"amount": 1}).encode(), {"Idempotency-Key": "whole"})

    assert (many.status_code, many.json()["failures"][0]["index"]) == (422, 1)
    assert (empty.status_code, large.status_code, larger.status_code) == (400, 413, 413)
    assert "the limit is 262144" in large.json()["error"]
    assert (first.status_code, other.status_code) == (202, 409)

    async def published() -> list[Record]:
        async with tail(live.endpoints.kafka_bootstrap_servers, "raw-data") as raw:
            return [record for record in await raw.to_end() if b"card-whole" in (record.value or b"")]

    assert len(asyncio.run(published())) == 1


@proves("too-large")
async def test_the_broker_refuses_an_event_of_5_mb(live: Live) -> None:
    """A plain client is told by the broker; nothing lies on the topic."""
    with pytest.raises(MessageSizeTooLargeError):
        await sent(live.endpoints.kafka_bootstrap_servers, "raw-data", [Raw(b"x" * EVENT_BYTES)])
    assert "1 MiB" in rows()["too-large"][2]


@proves("compressed")
async def test_an_event_of_5_mb_that_came_compressed_is_cut(live: Live) -> None:
    """The broker weighs what is sent: so it can lie on raw-data. Its dead letter holds its first bytes and its size."""
    bootstrap, value = live.endpoints.kafka_bootstrap_servers, changed("compressed", merchant="m" * EVENT_BYTES)
    [place] = await sent(bootstrap, "raw-data", [Raw(value)], compression="gzip")

    async with tail(bootstrap, "raw-data.dlq") as dead:
        [letter] = await dead.until(lambda record: source_of(record) == place)

    assert letter.header("millrace-reason") == "too-large"
    assert letter.value == value[:LETTER_BYTES_MAX]
    assert letter.header("millrace-cut") == str(len(value))


# --- events that are kept aside, or that count once ------------------------------------------------------------------
@proves("late")
async def test_a_late_event_goes_to_the_late_topic_and_has_no_row(live: Live) -> None:
    """Later than its lateness bound behind its card's newest: set aside with the reason and where it lay."""
    old = now_ms() - HOUR_MS
    [_, over_http] = live.send(payment("late-1", "card-late"), payment("late-2", "card-late", ts=old))
    bootstrap = live.endpoints.kafka_bootstrap_servers
    value = json.dumps(payment("late-3", "card-late", ts=old)).encode()
    [place] = await sent(bootstrap, "raw-data", [Raw(value, b"card-late", over_http["partition"])])
    live.send(payment("late-4", "card-late"))

    async with tail(bootstrap, "raw-data.late") as late, tail(bootstrap, "features") as features:
        first, second = await late.until(lambda record: b'"late-' in (record.value or b""), count=2)
        await features.until(spoken_of("late-4"))
        rows_of_late = [len(rows_of(features.records, f"late-{n}")) for n in (1, 2, 3, 4)]

    assert rows_of_late == [1, 0, 0, 1]
    assert [record.header("millrace-reason") for record in (first, second)] == ["late", "late"]
    assert source_of(first) == (over_http["partition"], over_http["offset"])
    assert (source_of(second), second.value) == (place, value)


@proves("newer-version")
async def test_an_event_of_a_newer_version_is_parked(live: Live) -> None:
    """An unknown field is no fault where the stated version is newer than the deployed one: it waits for it."""
    value = json.dumps(payment("newer-1", "card-newer", colour="red")).encode()
    bootstrap = live.endpoints.kafka_bootstrap_servers
    headers = (("ce_dataschema", b"transaction/2"),)
    [place] = await sent(bootstrap, "raw-data", [Raw(value, b"card-newer", headers=headers)])

    async with tail(bootstrap, "raw-data.parked") as parked:
        [record] = await parked.until(spoken_of("newer-1"))

    assert (record.value, record.header("ce_dataschema")) == (value, "transaction/2")
    assert (record.header("millrace-reason"), source_of(record)) == ("newer-schema", place)


@proves("duplicate")
async def test_a_duplicate_counts_once(live: Live) -> None:
    """The same id twice over HTTP and once on raw-data: one row, and the card's next row counts one event."""
    before = live.counts("features").get("duplicates", 0)
    twin = payment("twin-1", "card-twin", ts=now_ms() - 2_000)
    bootstrap = live.endpoints.kafka_bootstrap_servers
    accepted = live.send(twin, twin)
    await sent(bootstrap, "raw-data", [Raw(json.dumps(twin).encode(), b"card-twin", accepted[0]["partition"])])
    live.send(payment("twin-2", "card-twin", ts=now_ms()))

    async with tail(bootstrap, "features") as features:
        await features.until(spoken_of("twin-2"))
        [_], [after] = rows_of(features.records, "twin-1"), rows_of(features.records, "twin-2")

    assert [values["n_10m"] for values in after.groups.values()] == [1]
    until(lambda: live.counts("features")["duplicates"] == before + 2, "the count of duplicates")


@proves("misplaced")
async def test_an_event_in_the_wrong_partition_is_moved_and_counts_once(live: Live) -> None:
    """Without a key and in another card's partition: published again under its own key, one row, counted once."""
    before = live.counts("features").get("moved", 0)
    bootstrap, home = live.endpoints.kafka_bootstrap_servers, partition_of("card-lost", 4)
    value = json.dumps(payment("lost-1", "card-lost", ts=now_ms() - 2_000)).encode()
    [(partition, offset)] = await sent(bootstrap, "raw-data", [Raw(value, None, elsewhere("card-lost"))])

    async with tail(bootstrap, "features") as features, tail(bootstrap, "raw-data") as raw:
        await features.until(spoken_of("lost-1"))
        live.send(payment("lost-2", "card-lost"))
        await features.until(spoken_of("lost-2"))
        [row], [after] = rows_of(features.records, "lost-1"), rows_of(features.records, "lost-2")
        [_, moved] = sorted(await raw.until(spoken_of("lost-1"), count=2), key=lambda record: record.append_time_us)

    assert (row.source.partition, row.source.offset) == (moved.partition, moved.offset)
    assert (moved.partition, moved.key, moved.value) == (home, b"card-lost", value)
    assert (moved.header("millrace-moved") or "").startswith(f"raw-data/{partition}/{offset}/")
    assert [values["n_10m"] for values in after.groups.values()] == [1]
    assert live.counts("features")["moved"] == before + 1


@proves("orphan-label")
async def test_a_label_for_an_unknown_event_is_an_orphan(live: Live) -> None:
    """It is taken and published as a label, keyed by the id it refers to, and counted once nothing more can come."""
    before = orphans(live)
    live.send({"type": "chargeback", "txn_id": "nobody", "ts": now_ms() - 48 * HOUR_MS})

    async with tail(live.endpoints.kafka_bootstrap_servers, "features") as features:
        await features.until(lambda record: record.key == b"nobody")
        [label] = labels_of(features.records, "nobody")
    live.send(payment("orphan-1", "card-orphan"))

    assert (label.event_id, label.value) == ("nobody", True)
    until(lambda: orphans(live) > before, "the orphan counted")


def orphans(live: Live) -> int:
    """Return how many labels of `fraud` no event came for, as the monitor says."""
    models = live.get("monitor", "/v1/status")["models"]
    return sum(model["orphans"] for model in models if model["model"] == "fraud")


@proves("foreign-bytes")
@pytest.mark.parametrize("topic", ["features", "model-candidates", "predictions", "drift-alerts"])
async def test_foreign_bytes_on_a_topic_of_ours_become_dead_letters(live: Live, topic: str) -> None:
    """Whoever reads the topic sets them aside and goes on."""
    bootstrap = live.endpoints.kafka_bootstrap_servers
    [place] = await sent(bootstrap, topic, [Raw(b"no message of ours", partition=0)])

    async with tail(bootstrap, f"{topic}.dlq") as dead:
        [letter, *_] = await dead.until(lambda record: source_of(record) == place)

    assert (letter.value, letter.header("millrace-reason")) == (b"no message of ours", "malformed")
    assert {process.state for process in live.status().processes} == {"ready"}


@proves("foreign-promotion")
async def test_a_promotion_that_is_no_next_link_changes_nothing(live: Live, champion: str) -> None:
    """Bytes that are none, and one that was there already: void, and everybody who follows the log goes on."""
    before, bootstrap = live.counts("gatekeeper"), live.endpoints.kafka_bootstrap_servers
    version = live.get("serving", "/v1/models/fraud")["version"]
    async with tail(bootstrap, "promotions") as log:
        again = (await log.until(lambda record: record.key == b"fraud"))[0]
    await sent(bootstrap, "promotions", [Raw(b"no promotion"), Raw(again.value, again.key, headers=again.headers)])

    void = before["promotions_void"] + 1
    until(lambda: live.counts("gatekeeper")["promotions_void"] == void, "the repeated promotion counted as void")
    assert live.counts("gatekeeper")["promotions"] == before["promotions"]
    assert live.get("serving", "/v1/models/fraud")["version"] == version
    assert {process.state for process in live.status().processes} == {"ready"}
