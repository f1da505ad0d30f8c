"""Every aggregate through the features service on a bus in memory, in every way in which events come."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec
import pytest
from tests.fakes.features.dying import DyingOnline, Killed
from tests.fakes.features.stage import NOON_US, Stage
from tests.matrix import payments
from tests.matrix.judging import Judge, Judged, Seen, judged
from tests.matrix.payments import Order, Size

from millrace.loading import load
from millrace_common.errors import Fenced
from millrace_common.records import Record

JUDGE = Judge(load(["tests/matrix/pipeline.py:PIPELINE"]))
PARTITIONS = 2
SMALL = Size(1_200, 12, 7_200_000)
EVENTS = payments.payments(SMALL, until_ms=NOON_US // 1_000, seed=11)
ORDERS = {
    "in order": payments.in_order,
    "shuffled": payments.shuffled,
    "duplicated": payments.duplicated,
    "late": payments.late,
    "misplaced": payments.misplaced,
    "mixed": payments.mixed,
    "corrected": payments.corrected,
}
SHOWN = {"late": ["late"], "duplicated": ["duplicate"], "corrected": ["corrected", "withdrawn", "not-held"]}
Fate = Callable[[Stage, random.Random], Awaitable[None]]


async def work(stage: Stage) -> int:
    """Let the service work until all is quiet, starting it anew whenever it ends; return how often it did."""
    for lives in range(100):
        try:
            await stage.run()
            for seat in stage.bus._seats:
                await seat.idle()
        except (Killed, Fenced):
            stage.restart(DyingOnline(stage.store.held, f"life {lives} {id(stage.store)}"))
        else:
            return lives
    raise AssertionError("no end of dying")


async def ran(order: Order, fate: Fate | None = None) -> Judged:
    """Return what came of an order in which payments come, with a fate between every hundred of them."""
    stage, rng = Stage(JUDGE.deployment, PARTITIONS), random.Random(5)
    sent = order(EVENTS, rng, PARTITIONS)
    deaths = 0
    for first in range(0, len(sent), 100):
        await stage.bus.publish(sent[first : first + 100])
        if fate is not None:
            await fate(stage, rng)
        deaths += await work(stage)
    assert fate is None or deaths > 0, "nothing was lost: the run proves nothing"
    return judged(JUDGE, seen(stage))


def seen(stage: Stage) -> Seen:
    """Return what the service was given and made."""
    log = stage.bus.log
    return Seen(log["raw-data"], log["features"], log["raw-data.late"], stage.store.held)


@pytest.mark.parametrize("name", ORDERS)
async def test_rows_store_and_replay_are_the_oracles(name: str) -> None:
    """In any order: every aggregate on the stream, in the store and on replay equals the oracle bit for bit."""
    found = await ran(ORDERS[name])
    assert found.mismatches == 0, found
    assert found.rows > SMALL.events / 2
    for verdict in SHOWN.get(name, ()):
        assert found.verdicts[verdict] > 0, verdict


async def dies(stage: Stage, rng: random.Random) -> None:
    """Let the next write, or what follows it, be the last thing that the process does."""
    before = int(rng.random() < 0.5)
    stage.restart(DyingOnline(stage.store.held, f"doomed {rng.random()}", before=before, after=1 - before))


async def is_flushed(stage: Stage, rng: random.Random) -> None:
    """Empty the store."""
    stage.store.held.clear()


def rolled_back() -> Fate:
    """Return a fate that puts the store back to what it was the time before."""
    past: list[dict[str, bytes]] = []

    async def rolls_back(stage: Stage, rng: random.Random) -> None:
        past.append(dict(stage.store.held))
        if len(past) > 1:
            stage.store.held.clear()
            stage.store.held.update(past[-2])

    return rolls_back


FATES: dict[str, Callable[[], Fate]] = {
    "killed": lambda: dies,
    "flushed": lambda: is_flushed,
    "rolled back": rolled_back,
}


@pytest.mark.parametrize("fated", FATES)
@pytest.mark.parametrize("name", ["mixed", "corrected"])
async def test_nothing_that_befalls_it_changes_a_value(name: str, fated: str) -> None:
    """Killed before and after its writes, robbed of its store or set back: the same values, each once by effect."""
    found = await ran(ORDERS[name], FATES[fated]())
    assert found.mismatches == 0, found
    assert found.repeated > 0, "nothing was published again: the run proves nothing"


async def test_what_is_wrong_is_found() -> None:
    """A row, a stored value or an entity that differs from the oracle's is counted: the checks can fail."""
    stage = Stage(JUDGE.deployment, PARTITIONS)
    await stage.bus.publish(payments.in_order(EVENTS[:200], random.Random(5), PARTITIONS))
    await work(stage)
    whole = seen(stage)
    features, store = whole.features, whole.store
    assert judged(JUDGE, whole).mismatches == 0
    altered = [[_altered(record) for record in log] for log in features]
    assert judged(JUDGE, replace(whole, features=altered)).stream.total() == sum(map(len, features))
    assert judged(JUDGE, replace(whole, features=[log[1:] for log in features])).other["rows"] == PARTITIONS
    gone = min(key for key in store if ":i:" in key)
    without = {key: value for key, value in store.items() if key != gone}
    assert judged(JUDGE, replace(whole, store=without)).other["entities"] == 1
    one = min(key for key in store if ":v:" in key)
    turned = {**store, one: store[one][:64] + bytes(b ^ 1 for b in store[one][64:68]) + store[one][68:]}
    assert judged(JUDGE, replace(whole, store=turned)).mismatches > 0


async def test_what_is_wrong_with_corrections_is_found() -> None:
    """A correction that changed nothing, one that is not set aside, and an old row that lies last are counted."""
    stage, rng = Stage(JUDGE.deployment, PARTITIONS), random.Random(5)
    sent = payments.corrected(EVENTS[:400], rng, PARTITIONS)
    await stage.bus.publish(sent)
    await work(stage)
    whole = seen(stage)
    assert judged(JUDGE, whole).mismatches == 0
    unheeded = [[_plain(record) for record in log] for log in whole.raw]
    assert judged(JUDGE, replace(whole, raw=unheeded)).mismatches > 0
    aside = sum(map(len, whole.late))
    assert judged(JUDGE, replace(whole, late=[[], []])).other["set aside"] == aside > 0
    turned = [log[::-1] for log in whole.features]
    found = judged(JUDGE, replace(whole, features=turned)).other
    assert found["last rows"] > 0
    said = [[_unsaid(record) for record in log] for log in whole.features]
    assert judged(JUDGE, replace(whole, features=said)).other["rows that say"] > 0


def _plain(record: Record) -> Record:
    headers = tuple(header for header in record.headers if header[0] != "millrace-correction")
    return msgspec.structs.replace(record, headers=headers)


def _unsaid(record: Record) -> Record:
    assert record.value is not None
    return msgspec.structs.replace(record, value=record.value.replace(b'"corrected"', b'"perfected"'))


def _altered(record: Record) -> Record:
    assert record.value is not None
    return msgspec.structs.replace(record, value=record.value.replace(b'"n_1h":', b'"n_1h":1'))


def test_orders_are_what_they_say() -> None:
    """Each order sends every payment; the one in order by time, the others not."""
    for order in ORDERS.values():
        sent = [one for one in order(EVENTS, random.Random(5), PARTITIONS) if len(one.headers) == 1]
        assert {one.value for one in sent} == {event.sent().value for event in EVENTS}
    ordered: Sequence[object] = payments.in_order(EVENTS, random.Random(5), PARTITIONS)
    assert [one.value for one in payments.shuffled(EVENTS, random.Random(5), PARTITIONS)] != ordered
