"""Places where a test kills the process: after the publish, after the state, before the commit.

A place is armed by a count, or while the process runs by a file, which dies with it: so the next process goes on.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from millrace_common.errors import Misconfigured

NAMES = ("published", "applied", "committing")


def kill_self() -> None:
    """End the process as `kill -9` does: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Failpoints:
    """Counts the passes of each named place and dies at the one that was asked for."""

    deadly: Mapping[str, int] = field(default_factory=dict)
    """Name -> the pass, from 1, at which to die."""
    die: Callable[[], None] = kill_self
    passes: Counter[str] = field(default_factory=Counter)
    folder: Path | None = None
    """Where a file named after a place, such as `applied`, arms it for its next pass."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.deadly) - set(NAMES))
        if unknown:
            raise Misconfigured(f"MILLRACE_FAILPOINTS names {unknown[0]!r}; known: {', '.join(NAMES)}")

    def hit(self, name: str) -> None:
        """Pass the place `name`."""
        if name in self.deadly:
            self.passes[name] += 1
            if self.passes[name] == self.deadly[name]:
                self.die()
        if self.folder is not None and self._is_armed(self.folder / name):
            self.die()

    @staticmethod
    def _is_armed(file: Path) -> bool:
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        return True
