"""aiokafka's connection, made to see that uvloop has closed it.

When a peer resets a connection, aiokafka learns it a turn of the loop later than uvloop, whose transport refuses a
write by a RuntimeError meanwhile; asyncio's own takes it in silence. aiokafka 0.14.0 is prepared for the latter: its
task that keeps the metadata ends by the error, unseen, and all that waits for metadata waits for ever (its issue 1038).
"""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that takes a transport that is closing for a broken one."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Return what awaits the response. Raises KafkaConnectionError where there is no connection any more."""
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
        return super().send(request, expect_response)


def see_closed_connections() -> None:
    """Have every client of this process connect by `Connection`: they take the class from its module."""
    conn.AIOKafkaConnection = Connection
