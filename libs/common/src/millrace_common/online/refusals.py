"""What is wrong with a store, in words that name the mend."""

import msgspec

from millrace_common.errors import Misconfigured
from millrace_common.online.resp import Reply, ReplyError
from millrace_common.slots import STORE_FORMAT, Meta

TRANSIENT = frozenset(
    {"OOM", "READONLY", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "MISCONF", "BUSY", "MOVED"}
)
"""Answers that may be others a little later; each was refused before anything was written."""

_MENDS = {
    "OOM": "Redis is full: give it more memory (maxmemory); nothing in it may be evicted",
    "READONLY": "REDIS_URL names a replica: point it at the primary",
    "LOADING": "Redis is still loading its data",
    "MISCONF": "Redis cannot save to its disk",
    "NOREPLICAS": "Redis has fewer replicas in step than min-replicas-to-write asks for",
    "CLUSTERDOWN": "a part of the Redis Cluster is down",
    "NOAUTH": "Redis asks for a password: put it into REDIS_URL",
    "WRONGPASS": "Redis refuses the name or the password in REDIS_URL",
    "NOPERM": "the user in REDIS_URL may not do this",
}
_NOT_ALLOWED = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


def told(error: Exception) -> str:
    """Return an error in our words, then in Redis's own."""
    mend = _MENDS.get(error.code) if isinstance(error, ReplyError) else None
    return f"{mend} ({error})" if mend else f"redis: {error}"


def refuse_login(error: ReplyError) -> None:
    """Raise Misconfigured where Redis does not let us in, or not do this: waiting does not help."""
    if error.code in _NOT_ALLOWED:
        raise Misconfigured(told(error)) from error


def refuse_eviction(info: Reply) -> None:
    """Raise Misconfigured where a store may drop keys when it is full: nobody could see the loss (R14)."""
    if isinstance(info, ReplyError):
        raise info
    lines = info.split(b"\r\n") if isinstance(info, bytes) else []
    said = dict(line.split(b":", 1) for line in lines if b":" in line)
    policy = said.get(b"maxmemory_policy", b"noeviction").decode()
    if policy != "noeviction":
        raise Misconfigured(
            f"Redis has maxmemory-policy {policy}; it holds state that must not be evicted: "
            "set maxmemory-policy noeviction"
        )


def refuse_other(found: bytes | None, meta: Meta) -> None:
    """Raise Misconfigured where a store was written for other partitions or in another format."""
    held = msgspec.json.decode(found, type=Meta) if found else None
    if held == meta:
        return
    if held is not None and held.format == STORE_FORMAT == meta.format:
        raise Misconfigured(
            f"the online store was written for {held.partitions} partitions, raw-data has {meta.partitions}: where an "
            "entity lies would differ. To migrate, stop features and point REDIS_URL at an empty store (or flush this "
            "one): features fills it from raw-data, which must reach back by the longest window, and answers are "
            f"stale until then. To go back, give raw-data {held.partitions} partitions again"
        )
    raise Misconfigured(
        f"the online store has {held}, this version writes {meta}: point REDIS_URL at an empty store; features fills "
        "it from raw-data, which must reach back by the longest window"
    )
