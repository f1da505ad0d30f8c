"""A process that ends where a test says."""

from collections.abc import Mapping
from dataclasses import dataclass

from millrace_common.online_memory import MemoryOnline
from millrace_common.slots import Cursor, Slot


class Killed(Exception):
    """The process ends here."""


def die() -> None:
    """End the process, as far as this test goes."""
    raise Killed


@dataclass(slots=True)
class DyingOnline(MemoryOnline):
    """A store whose writer dies before (or, once it landed, after) its n-th write."""

    before: int = 0
    after: int = 0

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Write, or die."""
        self.before -= 1
        if self.before == 0:
            raise Killed
        await MemoryOnline.write(self, slot, values, cursor, ttl_ms=ttl_ms)
        self.after -= 1
        if self.after == 0:
            raise Killed
