"""When to page: averaged Shiryaev-Roberts e-detectors over all columns, with a stated false-alarm budget.

Each window, a column's p-value becomes a bet e = 1 / (2 sqrt(p)), whose mean is at most 1 when nothing is wrong, and
its detector goes R <- (1 + R) e. The mean over the columns is again an e-detector, whatever depends on what: alarming
at `windows_per_false_page` keeps the mean time between false pages at least that many windows (Shin, Ramdas, Rinaldo).
"""

import math
from collections.abc import Sequence

import msgspec

EVIDENCE_MAX = 1e12


class Track(msgspec.Struct, array_like=True):
    """One column's detector, and where its CUSUM began: the estimate of the change point."""

    evidence: float = 0.0
    log_cusum: float = 0.0
    since_us: int | None = None

    def see(self, p: float, start_us: int) -> None:
        """Take the p-value of one more window.

        >>> track = Track(evidence=3.0)
        >>> track.see(0.25, 0)
        >>> track.evidence
        4.0
        """
        bet = 0.5 / math.sqrt(p)
        self.evidence = min((1.0 + self.evidence) * bet, EVIDENCE_MAX)
        self.log_cusum = max(0.0, self.log_cusum + math.log(bet))
        if self.log_cusum == 0.0:
            self.since_us = None
        elif self.since_us is None:
            self.since_us = start_us


class Pager(msgspec.Struct):
    """The detectors of all columns of one version since it was promoted, or since the last incident ended."""

    tracks: list[Track]

    @classmethod
    def start(cls, columns: int) -> "Pager":
        """Return detectors that have seen nothing."""
        return cls([Track() for _ in range(columns)])

    def see(self, p_values: Sequence[float], start_us: int) -> None:
        """Take one more window: a p-value for each column, and when the window began."""
        for track, p in zip(self.tracks, p_values, strict=True):
            track.see(p, start_us)

    @property
    def level(self) -> float:
        """Return the number that is held against the budget: the mean over the columns."""
        return sum(track.evidence for track in self.tracks) / len(self.tracks)

    @property
    def since_us(self) -> int | None:
        """Return the estimated time of the change, by the column with the most evidence."""
        return max(self.tracks, key=lambda track: track.evidence).since_us
