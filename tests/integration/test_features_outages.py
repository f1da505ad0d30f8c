"""The features service on a Redis that refuses writes, hangs or dies: it waits, ends, and loses nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import Stage, payment
from tests.fakes.redis_servers import Server, served

from millrace_common.errors import Unavailable
from millrace_common.online import OnlineWriter

DEPLOYMENT = deployment(CARD_SPEND, SHOP_TAKINGS)
EVENTS = 40
NOWHERE = 9
Harm = Callable[[Server], object]
HARMS: dict[str, tuple[Harm, Harm, str]] = {
    "full": (
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "0"),
        "Redis is full",
    ),
    "a replica": (
        lambda server: server.ask("REPLICAOF", "127.0.0.1", NOWHERE),
        lambda server: server.ask("REPLICAOF", "NO", "ONE"),
        "a replica",
    ),
    "hanging": (Server.stop, Server.go_on, "gave no answer|did not take a connection"),
    "dead": (Server.kill, Server.start, "cannot be reached|closed the connection"),
}


async def fed(stage: Stage, first: int, end: int) -> None:
    """Let the service work off payments."""
    for n in range(first, end):
        await stage.send(payment(f"p{n}", f"c{n % 7}", n / 2, merchant=f"m{n % 3}"))
    await stage.run()


def compared(held: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the values of a store; those made of copies without their offset: copies that are sent again move it."""
    values = {key: value for key, value in held.items() if ":c:" not in key}
    return {key: value[:8] + value[16:] if "{merchant." in key else value for key, value in values.items()}


@pytest.mark.parametrize("harm", HARMS)
async def test_a_store_that_cannot_be_written_ends_the_process_and_loses_nothing(tmp_path: Path, harm: str) -> None:
    """Within its bound the error is Unavailable (exit 70); what follows equals a run that nothing disturbed."""
    break_it, mend_it, why = HARMS[harm]
    whole = Stage(DEPLOYMENT, 2)
    await fed(whole, 0, EVENTS // 2)
    await fed(whole, EVENTS // 2, EVENTS)
    with served(tmp_path) as server:
        await server.answers()
        async with OnlineWriter.connect(server.url, retry_seconds_max=0.5, call_seconds_max=0.3) as writer:
            stage = Stage(DEPLOYMENT, 2, writer)
            await fed(stage, 0, EVENTS // 2)
            committed = dict(stage.bus.committed)
            break_it(server)
            with pytest.raises(Unavailable, match=why):
                await fed(stage, EVENTS // 2, EVENTS)
            assert stage.bus.committed == committed
        mend_it(server)
        await server.answers()
        async with OnlineWriter.connect(server.url) as successor:
            stage.restart(successor)
            await stage.run()
        held = {key.decode(): server.ask("GET", key) for key in server.ask("KEYS", "*")}
    assert compared(held) == compared(whole.store.held)
    assert {row.row_id for row in stage.rows()} == {row.row_id for row in whole.rows()}
