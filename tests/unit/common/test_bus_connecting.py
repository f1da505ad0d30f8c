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
from aiokafka.protocol.produce import ProduceRequest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.connecting import Connection, pieces
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions

NO_ERROR, NO_VERSIONS = 0, 0
MAGIC_2 = {0: (3, 7)}
"""What a broker says that takes batches of Kafka's record format 2."""
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


names = st.text(st.characters(codec="utf-8"), max_size=8)
batches = st.lists(st.tuples(st.integers(0, 9), st.none() | st.binary().map(bytearray)), max_size=3)


@given(st.none() | names, st.lists(st.tuples(names, batches), max_size=3))
def test_a_request_in_pieces_is_what_aiokafka_sends(id_: str | None, topics: list[tuple[str, list[object]]]) -> None:
    """Byte for byte, and each batch is the very object that was to be sent."""
    request = ProduceRequest(id_, -1, 500, topics).prepare(MAGIC_2)
    found = list(pieces(request.SCHEMA, [getattr(request, name) for name in request.SCHEMA.names]))
    assert b"".join(found) == request.encode()
    sent = [batch for _, partitions in topics for _, batch in partitions if batch is not None]
    assert [id(one) for one in found if isinstance(one, bytearray)] == list(map(id, sent))


async def sent_whole(broker: socket.socket, batch: bytearray) -> tuple[bytes, bytes]:
    """Return a request with a large batch as aiokafka would have sent it, and what the broker's end received."""
    ours = Connection(*broker.getsockname())
    theirs = await connected(broker, ours)
    ours._versions = MAGIC_2
    request = ProduceRequest(None, -1, 500, [("t", [(0, batch)])])
    whole = request.prepare(MAGIC_2).encode()
    answer, received = asyncio.ensure_future(ours.send(request)), b""
    try:
        while whole not in received:
            received += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
            (size,) = struct.unpack_from(">i", received)
            assert len(received) <= 4 + size
    finally:
        ours.close()
        theirs.close()
        await asyncio.gather(answer, return_exceptions=True)
    return whole, received[4:]


def test_a_request_larger_than_the_socket_takes_arrives_whole(broker: socket.socket) -> None:
    """In its order, with its size before it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        whole, received = runner.run(sent_whole(broker, bytearray(range(256)) * 40_000))
    assert received.endswith(whole)


async def test_clients_connect_by_it() -> None:
    """Where a bus was opened, every client takes the class from the module in which it is put."""
    async with KafkaBus(KafkaOptions("127.0.0.1:9")):
        pass
    assert conn.AIOKafkaConnection is Connection
    assert "AIOKafkaConnection" in conn.create_conn.__code__.co_names
