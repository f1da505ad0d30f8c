"""Time a short loop now and then until the input ends; print the median of its CPU time in microseconds."""

import statistics
import sys
import time
from select import select

TURNS = 20_000
SECONDS_BETWEEN = 0.1
"""The loop takes a hundredth of the core at most."""


def loop_us() -> float:
    """Return the CPU time of the loop: what it waits for the core does not count."""
    started = time.thread_time()
    total = 0
    for turn in range(TURNS):
        total += turn * turn
    return (time.thread_time() - started) * 1e6


def main() -> None:
    """Take samples until told to stop."""
    found = [loop_us()]
    while not select([sys.stdin], [], [], SECONDS_BETWEEN)[0]:
        found.append(loop_us())
    print(round(statistics.median(found)))


if __name__ == "__main__":
    main()
