"""Changes are stored in the order in which they were made, whichever partition's outputs are acknowledged first.

What a later step left contains what an earlier one did; stored before it, the earlier one's cursor would lag behind its
effect, and a crash would count its records twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from millrace_common.errors import Fenced
from millrace_monitor.core.saved import Changes
from millrace_monitor.core.watch import Watch

HELD_MAX = 1_000
Step = tuple[Changes, Sequence[Watch]]
"""What a step changed, and the models whose cut it took."""


@dataclass(slots=True)
class Turns:
    """Steps that were handled, and those whose turn to be stored has not come."""

    taken: int = 0
    passed: int = 0
    held: dict[int, Step] = field(default_factory=dict)

    def take(self) -> int:
        """Return the number of the step that is being handled."""
        self.taken += 1
        return self.taken - 1

    def settle(self, number: int, changes: Changes, cut: Sequence[Watch]) -> list[Step]:
        """Return what is to be stored now, in order: nothing while an earlier step is not settled."""
        self.held[number] = (changes, cut)
        if len(self.held) > HELD_MAX:
            raise Fenced(f"step {self.passed} was handled but never settled")
        ready = []
        while self.passed in self.held:
            ready.append(self.held.pop(self.passed))
            self.passed += 1
        return ready
