"""A connection to a broker that is killed, on the loop that services run on."""

import asyncio
import socket
import struct
from collections.abc import Iterator

import pytest
import uvloop
from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from millrace_common.bus.connecting import Connection, see_closed_connections

NO_ERROR, NO_VERSIONS = 0, 0
TURNS_MAX = 1_000


@pytest.fixture
def broker() -> Iterator[socket.socket]:
    """Listen where a client may connect."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


async def connected(broker: socket.socket, ours: AIOKafkaConnection) -> socket.socket:
    """Connect, with an answer to the question for versions; return the broker's end."""
    loop = asyncio.get_running_loop()

    async def answer() -> socket.socket:
        theirs, _ = await loop.sock_accept(broker)
        request = await loop.sock_recv(theirs, 1_024)
        (number,) = struct.unpack_from(">i", request, 8)
        await loop.sock_sendall(theirs, struct.pack(">iihi", 10, number, NO_ERROR, NO_VERSIONS))
        return theirs

    async with asyncio.TaskGroup() as tasks:
        answered = tasks.create_task(answer())
        tasks.create_task(ours.connect())
    return answered.result()


async def reset(broker: socket.socket, connection: type[AIOKafkaConnection]) -> BaseException:
    """Return what a client meets that writes at every turn of the loop while the broker's end is reset."""
    ours = connection(*broker.getsockname())
    theirs = await connected(broker, ours)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    asked = []
    try:
        for _ in range(TURNS_MAX):
            asked.append(asyncio.ensure_future(ours.send(ApiVersionRequest())))
            await asyncio.sleep(0)
    except RuntimeError as error:  # KafkaError is one
        return error
    finally:
        ours.close()
        await asyncio.gather(*asked, return_exceptions=True)
    raise AssertionError("the reset was not seen")


def test_a_write_to_a_connection_that_was_reset_is_a_kafka_error(broker: socket.socket) -> None:
    """Which aiokafka answers by connecting again; it has no answer to the RuntimeError of uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert type(runner.run(reset(broker, AIOKafkaConnection))) is RuntimeError, "it was mended: ours can go"
        assert type(runner.run(reset(broker, Connection))) is KafkaConnectionError


def test_clients_connect_by_it() -> None:
    """Every client takes the class from the module in which it is put."""
    see_closed_connections()
    assert conn.AIOKafkaConnection is Connection
    assert "AIOKafkaConnection" in conn.create_conn.__code__.co_names
