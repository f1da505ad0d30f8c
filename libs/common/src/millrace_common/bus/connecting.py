"""aiokafka's connection, made to see that uvloop has closed it, and to send what is large as it lies.

When a peer resets a connection, aiokafka learns it a turn of the loop later than uvloop, whose transport refuses a
write by a RuntimeError meanwhile; asyncio's own takes it in silence. aiokafka 0.14.0 is prepared for the latter: its
task that keeps the metadata ends by the error, unseen, and all that waits for metadata waits for ever.

It also copies the batches of a request eight times, once for each thing that holds another. Here what a request is made
of goes to the socket piece by piece.
"""

import struct
from collections.abc import Awaitable, Iterator
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.types import Array, Bytes, Int32, Schema
from aiokafka.util import wait_for

_SIZE = struct.Struct(">i")


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that takes a transport that is closing for a broken one, and copies nothing that it sends."""

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        """Return what awaits the response. Raises KafkaConnectionError where there is no connection any more."""
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
        if self._writer is None:
            raise KafkaConnectionError(f"No connection to broker at {self._host}:{self._port}")
        said, number = request.prepare(self._versions), self._next_correlation_id()
        header = said.build_request_header(correlation_id=number, client_id=self._client_id)
        message = [header.encode(), *pieces(said.SCHEMA, [getattr(said, name) for name in said.SCHEMA.names])]
        try:
            self._writer.writelines([_SIZE.pack(sum(map(len, message))), *message])
        except OSError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self._host}:{self._port} broken: {error}") from error
        if not expect_response:
            drained: Awaitable[Any] = self._writer.drain()
            return drained
        response = self._loop.create_future()
        self._requests.append((number, said, response))
        answered: Awaitable[Any] = wait_for(response, self._request_timeout)
        return answered


def pieces(kind: Any, value: Any) -> Iterator[bytes]:
    """Yield what aiokafka's `kind.encode(value)` returns, with all bytes that are in it as they are."""
    if type(kind) is Schema:
        for field, one in zip(kind.fields, value, strict=True):
            yield from pieces(field, one)
    elif type(kind) is Array and value is not None:
        yield Int32.encode(len(value))
        for one in value:
            yield from pieces(kind.array_of, one)
    elif kind is Bytes and value is not None:
        yield Int32.encode(len(value))
        yield value
    else:
        yield kind.encode(value)


def see_closed_connections() -> None:
    """Have every client of this process connect by `Connection`: they take the class from its module."""
    conn.AIOKafkaConnection = Connection
