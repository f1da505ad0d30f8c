"""The rules in force, each of them taken away, and planted mistakes: what must be found, and by which checker."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.unit.settle.model import Rules

IN_FORCE = Rules()
WEAK = replace(IN_FORCE, token="none", guarded_load=False, idle_check=False, start="least", marks=False, quiet=False)
"""How the protocol was first written down."""

SOUND: Mapping[str, Rules] = {
    "the rules in force": IN_FORCE,
    "rows are published again": replace(IN_FORCE, quiet=False),
    "windowed": replace(IN_FORCE, window=8),
    "one call per batch, no token": replace(IN_FORCE, token="none", one_call=True),
    "start at the least offset, no cursor being 0": replace(IN_FORCE, start="least-or-zero"),
    "commit before the state": replace(IN_FORCE, bug="commit-acked"),
}
"""Nothing may be found. The last is the planted mistake that the cursor makes harmless (R8)."""


@dataclass(frozen=True, slots=True)
class Unsound:
    """Rules that lose or double something; `seeds` are walks at which the named checkers say so."""

    rules: Rules
    seeds: Mapping[str, int]


UNSOUND: Mapping[str, Unsound] = {
    "as first written": Unsound(WEAK, {"C3": 5, "C6": 7, "C1": 11, "C2": 11, "C7": 23, "C4": 49, "C5": 68}),
    "as first written, but no cursor is 0": Unsound(
        replace(WEAK, start="least-or-zero"), {"C3": 5, "C6": 10, "C2": 23, "C4": 49, "C5": 68}
    ),
    "as first written, but in one call": Unsound(replace(WEAK, one_call=True), {"C2": 0, "C3": 0, "C6": 0, "C7": 7}),
    "R3: no token per call": Unsound(replace(IN_FORCE, token="none"), {"C6": 220, "C2": 297, "C3": 537}),
    "R3: the id horizon in another call": Unsound(replace(IN_FORCE, together=False), {"C2": 2, "C3": 2, "C4": 2}),
    "R3: the cursor before the entities": Unsound(replace(IN_FORCE, bug="cursor-first"), {"C2": 2, "C3": 2, "C7": 6}),
    "R4: the state before the outputs": Unsound(replace(IN_FORCE, bug="state-first"), {"C1": 0, "C6": 0, "C5": 7}),
    "R4: the commit before the publish": Unsound(replace(IN_FORCE, bug="commit-first"), {"C6": 0, "C1": 1, "C5": 3}),
    "R4, R8: the commit before the state, and the least offset": Unsound(
        replace(IN_FORCE, bug="commit-acked", start="least"), {"C2": 0, "C3": 0, "C7": 4, "C1": 17, "C4": 33}
    ),
    "R8: start at the least of cursor and committed": Unsound(
        replace(IN_FORCE, start="least"), {"C2": 11, "C3": 11, "C7": 11, "C1": 27, "C4": 203}
    ),
    "R8: start at the committed offset": Unsound(
        replace(IN_FORCE, start="committed"), {"C3": 5, "C6": 7, "C2": 14, "C7": 24, "C1": 27}
    ),
    "R11: no guard at all": Unsound(replace(IN_FORCE, bug="no-guard"), {"C3": 5, "C2": 7, "C6": 14, "C1": 150}),
    "R11: no guard in the load": Unsound(replace(IN_FORCE, guarded_load=False), {"C6": 49, "C1": 91, "C2": 91}),
    "R11: no check when idle": Unsound(replace(IN_FORCE, idle_check=False), {"C3": 5, "C6": 82}),
    "R11: the cache outlives the assignment": Unsound(
        replace(IN_FORCE, drop_cache=False), {"C2": 10, "C3": 10, "C1": 33}
    ),
    "R12: no marks": Unsound(replace(IN_FORCE, marks=False), {"C2": 68, "C4": 68, "C5": 68, "C6": 68}),
    "R12: no marks, short batches": Unsound(
        replace(IN_FORCE, marks=False, batch_max=2), {"C6": 99, "C4": 107, "C5": 107}
    ),
    "R12: copies are not deduplicated": Unsound(
        replace(IN_FORCE, bug="no-dedupe"), {"C6": 0, "C2": 1, "C3": 1, "C4": 1, "C5": 2}
    ),
    "R13: sums per batch": Unsound(replace(IN_FORCE, sums="batch"), {"C6": 4, "C2": 96, "C1": 336}),
    "R13: memory is not what the store holds": Unsound(
        replace(IN_FORCE, sums="f32"), {"C2": 0, "C3": 0, "C1": 5, "C7": 7}
    ),
}
