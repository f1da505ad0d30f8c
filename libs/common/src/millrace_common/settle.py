"""Settle: publish, await every acknowledgement, apply the state, commit. In that order, and nowhere else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace_common.failpoints import Failpoints
from millrace_common.service import Outcome, nothing

if TYPE_CHECKING:
    from millrace_common.bus import Publisher


@dataclass(frozen=True, slots=True)
class Settler:
    """Acts on outcomes. Whatever it raises ends the process; the log is then replayed."""

    publisher: "Publisher"
    failpoints: Failpoints

    async def settle(
        self, outcome: Outcome, *, quiet_below: int = 0, commit: Callable[[], Awaitable[None]] = nothing
    ) -> None:
        """Settle one outcome. What was made from offsets below `quiet_below` was acknowledged before (R8)."""
        records = outcome.publish
        if quiet_below:
            records = [r for r in records if r.cause_offset is None or r.cause_offset >= quiet_below]
        if records:
            await self.publisher.publish(records)
        self.failpoints.hit("published")
        await outcome.apply()
        self.failpoints.hit("applied")
        self.failpoints.hit("committing")
        await commit()
