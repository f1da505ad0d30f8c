"""The answers of a day by `Idempotency-Key`, so that a repeated request is answered and not published again."""

from collections import OrderedDict
from dataclasses import dataclass, field

from millrace_ingest.core.requests import OtherBody

KEEP_US = 86_400_000_000
BYTES_MAX = 32 << 20
ENTRY_BYTES = 512
"""About what an entry costs beside its answer."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A request that came: the digest of its body, and its answer once the broker had everything."""

    digest: str
    answer: bytes | None
    at_us: int


@dataclass(slots=True)
class Answers:
    """Bounded by age and by bytes, the oldest forgotten first. A restart forgets all: then the ids deduplicate."""

    bytes_max: int = BYTES_MAX
    _kept: OrderedDict[str, Kept] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def find(self, key: str, digest: str, *, now_us: int) -> bytes | None:
        """Return the answer that the same request got; raises OtherBody where the key came with another body."""
        kept = self._kept.get(key)
        if kept is None or now_us - kept.at_us > KEEP_US:
            return None
        if kept.digest != digest:
            raise OtherBody("Idempotency-Key: it came before with another body; a new request needs a new key")
        return kept.answer

    def keep(self, key: str, digest: str, answer: bytes | None, *, now_us: int) -> None:
        """Remember a request, and its answer if it has one."""
        self._forget(key)
        self._kept[key] = Kept(digest, answer, now_us)
        self._bytes += _size(answer)
        while self._bytes > self.bytes_max or self._is_old(now_us):
            self._forget(next(iter(self._kept)))

    def _is_old(self, now_us: int) -> bool:
        first = next(iter(self._kept.values()), None)
        return first is not None and now_us - first.at_us > KEEP_US

    def _forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _size(kept.answer)


def _size(answer: bytes | None) -> int:
    return ENTRY_BYTES + len(answer or b"")
