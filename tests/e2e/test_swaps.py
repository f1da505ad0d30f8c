"""Hot swaps on a running platform, under a constant load of requests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import msgspec
import pytest
from tests.e2e.live_platform import TRAINED_SECONDS_MAX, Live, Tell, until
from tests.e2e.live_topics import tail
from tests.e2e.live_traffic import Answered, Traffic, flowing, seen

from millrace_common.codec import decode
from millrace_common.errors import Refused
from millrace_common.messages import Position, Promotion
from millrace_common.records import Record
from millrace_common.registry import Registry

SWAPS = {"subset": 5, "whole": 20}
CALLERS_OF_EACH_KIND = 4
SLACK_US = 2_000_000
DWELL_ANSWERS = 80
SEEN_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Reign:
    """A time in which versions were arms of an effective promotion."""

    from_us: int
    to_us: float
    versions: frozenset[str]


@pytest.mark.timeout(400)
async def test_swaps_fail_no_request_and_no_inactive_version_answers(
    live: Live, versions: list[str], request: pytest.FixtureRequest, tell: Tell
) -> None:
    """Every request is answered, by a version that was active at some time from 2 s before it until its end."""
    swaps = SWAPS[request.config.getoption("--matrix")]
    until(live.is_decided, "an end of all runs", seconds_max=TRAINED_SECONDS_MAX)
    answering = live.get("gatekeeper", "/v1/models/fraud")["version"]
    pair = [*[version for version in versions if version != answering][:1], answering]
    traffic = Traffic(live)
    callers = [traffic.predict, traffic.infer] * CALLERS_OF_EACH_KIND
    async with flowing(traffic, *callers), httpx.AsyncClient(base_url=live.url("gatekeeper"), timeout=30) as operator:
        for number in range(swaps):
            await swap(traffic, operator, to=pair[number % 2])

    reigns = reigns_of(await promotions(live))
    failed = [answer for answer in traffic.answers if answer.status != httpx.codes.OK]
    wrong = [answer for answer in traffic.answers if not is_active(answer, reigns)]
    by_version = Counter((answer.kind, answer.version) for answer in traffic.answers)
    told = f"{len(traffic.answers)} requests on {len(callers)} connections, by kind and version {dict(by_version)}"
    tell(f"{swaps} swaps, {told}: {len(failed)} failed, {len(wrong)} answered by a version that was not active")

    assert failed == []
    assert wrong == []
    assert len(reigns) >= swaps + len(versions)


async def swap(traffic: Traffic, operator: httpx.AsyncClient, *, to: str) -> None:
    """Let another version answer, and go on once callers of both kinds were answered by it for a while."""
    body = msgspec.json.encode({"version": to, "reason": "swap"})
    answer = await operator.post("/v1/models/fraud/rollback", content=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    begun = len(traffic.answers)
    both = {"predict", "infer"}

    def answers() -> bool:
        return {one.kind for one in traffic.answers[begun:] if one.version == to} == both

    await seen(answers, f"answers by version {to}", seconds_max=SEEN_SECONDS_MAX)
    enough = len(traffic.answers) + DWELL_ANSWERS
    await seen(lambda: len(traffic.answers) >= enough, "more answers", seconds_max=SEEN_SECONDS_MAX)


async def promotions(live: Live) -> list[Record]:
    """Return everything on the promotions topic."""
    async with tail(live.endpoints.kafka_bootstrap_servers, "promotions") as log:
        return await log.to_end()


def reigns_of(records: Sequence[Record]) -> list[Reign]:
    """Return who was active when: the fold of the log, each link in force from its append time to that of the next."""
    registry, starts = Registry(), list[tuple[int, frozenset[str]]]()
    for record in records:
        try:
            promotion = decode(record)
        except Refused:
            continue
        at = Position(topic=record.topic, partition=record.partition, offset=record.offset)
        assert isinstance(promotion, Promotion)
        if promotion.model == "fraud" and registry.fold(promotion, record.value or b"", at):
            starts.append((record.append_time_us, frozenset(arm.version for arm in promotion.arms)))
    ends = [at_us for at_us, _ in starts[1:]] + [float("inf")]
    return [Reign(at_us, end_us, versions) for (at_us, versions), end_us in zip(starts, ends, strict=True)]


def is_active(answer: Answered, reigns: Sequence[Reign]) -> bool:
    """Say whether the version that answered was active from 2 s before the request until its end."""
    return any(
        answer.version in reign.versions
        and reign.from_us <= answer.ended_us
        and answer.started_us - SLACK_US < reign.to_us
        for reign in reigns
    )


def test_the_check_of_activity_can_fail() -> None:
    """An answer by a version that was replaced more than 2 s before, or that comes only later, is found."""
    reigns = [Reign(0, 10_000_000, frozenset({"1"})), Reign(10_000_000, float("inf"), frozenset({"2"}))]

    def answer(version: str, started_us: int) -> Answered:
        return Answered("predict", started_us, started_us + 5_000, 200, {"version": version})

    assert is_active(answer("1", 11_900_000), reigns)
    assert not is_active(answer("1", 12_100_000), reigns)
    assert is_active(answer("2", 9_999_000), reigns)
    assert not is_active(answer("2", 9_900_000), reigns)
