"""Kafka that is gone for ten seconds, or that hangs: what is sent then is known or unknown, and nobody stays down."""

import asyncio
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.buses import KafkaRig, until

from millrace_cli.platform import kafka
from millrace_cli.programs import Program, await_ready, start, stop
from millrace_cli.settings import CliSettings
from millrace_common.bus.faust import FaustBus
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.errors import Fenced, Unavailable, Unknown
from millrace_common.records import Batch, Outgoing
from millrace_common.service import Outcome, Service

GONE_SECONDS = 10


class Broker:
    """A Kafka of the test's own, to be killed, started again and frozen."""

    def __init__(self, folder: Path) -> None:
        ports = [_free_port(), _free_port()]
        self.bootstrap = f"127.0.0.1:{ports[0]}"
        self._program: Program = kafka.prepare(
            folder, port=ports[0], controller_port=ports[1], cache=CliSettings().cache, log=folder / "kafka.log"
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process: subprocess.Popen[bytes] = start(self._program)
        await_ready(self._program, self._process)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self, *, frozen: bool) -> None:
        """Let it hang: connections stay, nothing is answered; or let it go on."""
        os.killpg(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def end(self) -> None:
        """Stop it, frozen or not."""
        if self._process.poll() is None:
            self.freeze(frozen=False)
        stop(self._process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Kafka of the test's own."""
    broker = Broker(tmp_path)
    yield broker
    broker.end()


def rig_on(broker: Broker, kind: type[KafkaBus]) -> KafkaRig:
    """Return a rig on that broker."""
    return KafkaRig(kind, broker.bootstrap, "")


async def supervised(rig: KafkaRig, service: Service) -> None:
    """Run a service as the supervisor does: started again each time a rule ends it."""
    while True:
        try:
            async with rig.process() as bus:
                await bus.run(service)
        except (Fenced, Unavailable, Unknown):
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("kind", [KafkaBus, FaustBus])
async def test_a_kafka_that_is_gone_for_ten_seconds_costs_nothing(broker: Broker, kind: type[KafkaBus]) -> None:
    """A service goes on, or ends by a rule and is started again: nothing is missing, copies are equal."""
    rig = rig_on(broker, kind)
    await rig.open()
    handled: Counter[bytes | None] = Counter()

    async def handler(batch: Batch) -> Outcome:
        handled.update(record.value for record in batch.records)
        return Outcome([Outgoing("out", r.key, r.value) for r in batch.records])

    task = asyncio.create_task(supervised(rig, Service("s").on("in", handler)))
    async with KafkaBus(rig.options) as producer:
        await producer.publish(numbered(0, 100))
        await until(lambda: len(handled) == 100, task)
        broker.kill()
        await asyncio.sleep(GONE_SECONDS)
        await asyncio.to_thread(broker.start)
        await producer.publish(numbered(100, 200))
        await until(lambda: len(handled) == 200, task)
        await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert {record.value for record in await rig.records("out")} == {record.value for record in numbered(0, 200)}


def numbered(first: int, end: int) -> list[Outgoing]:
    """Return records of distinct keys."""
    return [Outgoing("in", str(i).encode(), str(i).encode()) for i in range(first, end)]


async def test_a_send_past_its_deadline_is_unknown_and_the_next_goes_through(broker: Broker) -> None:
    """R5: the deadline is ours, since the producer has none; it is thrown away, a new one sends what comes later."""
    await rig_on(broker, KafkaBus).open()
    async with KafkaBus(KafkaOptions(broker.bootstrap, send_seconds_max=2.0)) as bus:
        await bus.publish([Outgoing("in", b"k", b"before")])
        broker.freeze(frozen=True)
        with pytest.raises(Unknown):
            await bus.publish([Outgoing("in", b"k", b"during")])
        with pytest.raises((Unknown, Unavailable)):
            await bus.publish([Outgoing("in", b"k", b"still")])
        broker.freeze(frozen=False)
        await asyncio.sleep(1)
        await bus.publish([Outgoing("in", b"k", b"after")])
    values = [record.value for record in await rig_on(broker, KafkaBus).records("in")]
    assert values[0] == b"before"
    assert values[-1] == b"after"
    assert set(values) <= {b"before", b"during", b"still", b"after"}
    assert max(Counter(values).values()) == 1


async def test_a_kafka_that_does_not_answer_at_start_is_unavailable() -> None:
    """Nothing was sent; the same bus may be asked again."""
    async with KafkaBus(KafkaOptions(f"127.0.0.1:{_free_port()}", send_seconds_max=2.0)) as bus:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await bus.publish([Outgoing("in", b"k", b"v")])
