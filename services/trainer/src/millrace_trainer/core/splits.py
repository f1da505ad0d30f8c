"""Three splits by time: fit, tune, gate.

The oldest rows are fitted, the next tune (early stopping, profile), the newest are the gate's. Rows of one instant are
never parted. An entity may lie in several splits: what a model must do in production is to score the same entities
later, and that is what a split by time asks of it. Features look back only, so no row of an earlier split has seen a
later one.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from millrace_common.errors import Refused
from millrace_common.messages.candidate import Split

ROWS_MIN = 10


def split(times_us: NDArray[np.int64], *, tune_share: float, gate_share: float) -> Mapping[str, slice]:
    """Return the slices of `fit`, `tune` and `gate` of rows in order of time; raises Refused (`too-few-rows`).

    >>> split(np.arange(100), tune_share=0.15, gate_share=0.2)
    {'fit': slice(0, 65, None), 'tune': slice(65, 80, None), 'gate': slice(80, 100, None)}
    """
    n = len(times_us)
    gate = _start_of_instant(times_us, n - math.ceil(n * gate_share))
    tune = _start_of_instant(times_us, min(gate, n - math.ceil(n * (gate_share + tune_share))))
    parts = {"fit": slice(0, tune), "tune": slice(tune, gate), "gate": slice(gate, n)}
    for name, part in parts.items():
        if part.stop - part.start < ROWS_MIN:
            have = part.stop - part.start
            raise Refused("too-few-rows", f"{n} labelled rows leave {have} to {name}; each split needs {ROWS_MIN}")
    return parts


def _start_of_instant(times_us: NDArray[np.int64], index: int) -> int:
    if not 0 < index < len(times_us):
        return max(index, 0)
    return int(np.searchsorted(times_us, times_us[index], side="left"))


def describe(times_us: NDArray[np.int64], parts: Mapping[str, slice]) -> dict[str, Split]:
    """Return each split's span of event time and its rows."""
    return {
        name: Split(
            from_us=int(times_us[part.start]), to_us=int(times_us[part.stop - 1]), n=int(part.stop - part.start)
        )
        for name, part in parts.items()
    }
