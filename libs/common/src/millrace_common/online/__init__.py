"""The online store in Redis (6.2 or later, one server or a cluster): one guarded writer per slot, readers beside it.

Redis holds the state itself, so a store that evicts is refused. Errors of Redis end here: Unavailable, Fenced,
Misconfigured. The connection, the routing and the bytes are our own; redis-py only reads the URL and hashes keys.
"""

from millrace_common.online.reader import OnlineReader
from millrace_common.online.writer import OnlineWriter

__all__ = ["OnlineReader", "OnlineWriter"]
