"""How fast the measured core is while something runs on it.

A core of a shared machine is fast or half as fast as whoever else is at work on its host leaves it, for seconds or for
an hour, and says nothing of it. So each figure stands beside the CPU time of one short loop, taken meanwhile.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.features.machine import ROOT, measured

_SECONDS_MAX = 10


@dataclass(slots=True)
class Pace:
    """`loop_us`: the median CPU time of the loop, once it is known."""

    loop_us: int = 0


@contextmanager
def pace() -> Iterator[Pace]:
    """Watch the measured core for as long as the block lasts."""
    found = Pace()
    command = measured((sys.executable, "-m", "benchmarks.features.drivers.pace"))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            yield found
            found.loop_us = int(watcher.communicate(timeout=_SECONDS_MAX)[0])
        finally:
            watcher.kill()
