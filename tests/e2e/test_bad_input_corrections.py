"""Corrections and copies against a running platform: what is taken back, and what is set aside."""

import json
from collections.abc import Mapping

from tests.e2e.bad_input_page import proves
from tests.e2e.checks import PARTS
from tests.e2e.live_platform import Live, now_ms, payment, until
from tests.e2e.live_topics import Raw, rows_of, sent, source_of, spoken_of, tail

HELD = 64
"""How many events of an entity are kept one by one."""
BY_PLACE = "raw-data.by-place"


def correction(how: str, event: Mapping[str, object], partition: int) -> Raw:
    """Return a correction of an event that lies in a partition."""
    headers = (("millrace-correction", how.encode()),)
    return Raw(json.dumps(event).encode(), str(event["card"]).encode(), partition, headers)


async def test_an_event_is_replaced_and_another_withdrawn(live: Live) -> None:
    """The next row of their card sees one event, as it is told now; every record of raw-data counts as one thing."""
    before = live.counts("features").get("corrected", 0)
    at, bootstrap = now_ms(), live.endpoints.kafka_bootstrap_servers
    first, second = (payment(f"wrong-{n}", "card-wrong", ts=at - n * 1_000) for n in (2, 1))
    [accepted, _] = live.send(first, second)
    told = (correction("replace", {**first, "amount": 99.0}, accepted["partition"]),)
    await sent(bootstrap, "raw-data", [*told, correction("withdraw", second, accepted["partition"])])
    live.send(payment("wrong-3", "card-wrong", ts=at))

    async with tail(bootstrap, "features") as features:
        await features.until(spoken_of("wrong-3"))
        replaced, withdrawn = (rows_of(features.records, f"wrong-{n}") for n in (2, 1))
        [after] = rows_of(features.records, "wrong-3")

    assert [(row.op, row.flags) for row in replaced] == [("row", ()), ("row", ("corrected",))]
    assert [row.op for row in withdrawn] == ["row", "withdrawn"]
    assert len({row.row_id for row in replaced}) == len({row.row_id for row in withdrawn}) == 1
    assert [(values["n_10m"], values["mean_1h"]) for values in after.groups.values()] == [(1, 99.0)]
    until(lambda: live.counts("features").get("corrected") == before + 2, "the count of corrections")
    counts = live.counts("features")
    assert counts["in"] == sum(counts.get(part, 0) for part in PARTS)


@proves("not-held")
async def test_a_correction_of_what_is_not_held_is_late(live: Live) -> None:
    """An event that 64 newer ones have pushed out, and one that never came: set aside with the reason; all count on."""
    at, bootstrap = now_ms() - 2 * HELD, live.endpoints.kafka_bootstrap_servers
    events = [payment(f"held-{n}", "card-held", ts=at + n) for n in range(HELD + 1)]
    home = live.send(*events)[0]["partition"]
    told = (("withdraw", events[0]), ("replace", payment("never-told", "card-held")))
    places = await sent(bootstrap, "raw-data", [correction(how, event, home) for how, event in told])
    live.send(payment("held-last", "card-held"))

    async with tail(bootstrap, "raw-data.late") as late, tail(bootstrap, "features") as features:
        found = await late.until(lambda record: source_of(record) in places, count=len(places))
        await features.until(spoken_of("held-last"))
        [after] = rows_of(features.records, "held-last")

    assert [record.header("millrace-reason") for record in found] == ["not-held", "not-held"]
    assert [record.header("millrace-correction") for record in found] == ["withdraw", "replace"]
    assert [values["n_10m"] for values in after.groups.values()] == [HELD + 1]


@proves("not-a-copy")
async def test_what_features_did_not_copy_is_a_dead_letter_of_the_copies(live: Live) -> None:
    """A payment, which is never copied by place, and a visit that says nothing of where it lay before."""
    bootstrap, paid = live.endpoints.kafka_bootstrap_servers, payment("copied", "card-copied")
    visit = {"type": "visit", "visit_id": "v1", "visitor": "a", "place": "p", "ts": now_ms()}
    [there] = live.send(paid)
    origin = f"raw-data/{there['partition']}/{there['offset']}/{now_ms()}000".encode()
    raws = [
        Raw(json.dumps(paid).encode(), b"p", headers=(("millrace-moved", origin),)),
        Raw(json.dumps(visit).encode()),
    ]
    places = await sent(bootstrap, BY_PLACE, raws)

    async with tail(bootstrap, f"{BY_PLACE}.dlq") as dead:
        found = await dead.until(lambda record: source_of(record) in places, count=len(places))

    found.sort(key=lambda record: places.index(source_of(record)))
    assert [record.header("millrace-reason") for record in found] == ["not-a-copy", "not-a-copy"]
    assert [record.value for record in found] == [raw.value for raw in raws]
    assert {record.header("millrace-source-topic") for record in found} == {BY_PLACE}
