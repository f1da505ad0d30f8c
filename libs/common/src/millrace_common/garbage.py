"""The cyclic garbage collector of a process that makes objects by the hundred thousand, none of them in a cycle."""

import gc

OBJECTS = 2_000
"""How many more objects there may be before the young ones are looked through; Python's own figure is 700.

A look stops everything for about a microsecond an object: at 100,000 that was seen as a tail of 0.15 s.
"""


def spare_the_collector() -> None:
    """Leave what is there by now out of every collection, and collect seldom: it took a sixth of an event's time.

    What is in no cycle, which is nearly everything, is freed at once as before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 100)
