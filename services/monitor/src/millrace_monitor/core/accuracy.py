"""Accuracy on late labels: in total, by version and by window of event time, beside the two simplest models."""

import msgspec

from millrace_monitor.core.join import Believed, Graded

KNOWN_MAX = 1_024
WINDOWS_MAX = 2_000


class Tally(msgspec.Struct, array_like=True):
    """Graded predictions, and how many were right."""

    n: int = 0
    right: int = 0

    def add(self, *, right: bool) -> None:
        """Count one."""
        self.n += 1
        self.right += right

    @property
    def share(self) -> float | None:
        """Return the accuracy; None on nothing."""
        return self.right / self.n if self.n else None


class Known(msgspec.Struct):
    """The labels believed of late, in the order in which they became known, with counts up to each."""

    recent: list[tuple[int, bool, int, int]] = []
    """(known_us, truth, labels so far, true ones so far)"""

    def add(self, label: Believed) -> None:
        """Take one label; one that became known before the last one is counted after it."""
        _, _, n, true = self.recent[-1] if self.recent else (0, False, 0, 0)
        known_us = max(label.known_us, self.recent[-1][0]) if self.recent else label.known_us
        self.recent.append((known_us, label.truth, n + 1, true + label.truth))
        if len(self.recent) > 2 * KNOWN_MAX:
            del self.recent[:KNOWN_MAX]

    def before(self, at_us: int) -> tuple[bool | None, bool | None]:
        """Return the last label and the majority of the labels known strictly before a time.

        >>> Known([(10, True, 1, 1), (20, False, 2, 1), (30, False, 3, 1)]).before(30)
        (False, True)
        """
        for known_us, truth, n, true in reversed(self.recent):
            if known_us < at_us:
                return truth, 2 * true >= n
        return None, None


class Accuracy(msgspec.Struct):
    """The running account of one model. `windows` maps a start to {version: tally}."""

    width_us: int
    total: Tally = msgspec.field(default_factory=Tally)
    last_known: Tally = msgspec.field(default_factory=Tally)
    majority: Tally = msgspec.field(default_factory=Tally)
    versions: dict[str, Tally] = {}
    windows: dict[int, dict[str, Tally]] = {}

    def add(self, graded: Graded) -> None:
        """Count one graded prediction."""
        answer, truth = graded.answer, graded.truth
        right = answer.decision == truth
        self.total.add(right=right)
        self.versions.setdefault(answer.version, Tally()).add(right=right)
        start = answer.at_us - answer.at_us % self.width_us
        self.windows.setdefault(start, {}).setdefault(answer.version, Tally()).add(right=right)
        if answer.last_known is not None:
            self.last_known.add(right=answer.last_known == truth)
        if answer.majority is not None:
            self.majority.add(right=answer.majority == truth)
        if len(self.windows) > WINDOWS_MAX:
            del self.windows[min(self.windows)]
