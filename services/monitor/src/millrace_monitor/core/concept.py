"""Concept drift on late labels: bets on calibrated confidence minus correctness.

For each labelled prediction x = confidence - eps - correct. While the model is as good as it says, whatever the inputs
do, x has no positive mean, and R <- (1 + R)(1 + lambda x) is an e-detector; so is the mean over several lambda.
Alarming at `labels_per_false_alarm` keeps the mean time between false alarms at least that many labels.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

EPSILON = 0.01
LAMBDAS = (0.05, 0.1, 0.2, 0.4)
CEILING = 10.0
"""Evidence is kept below this multiple of the budget, so that a recovery shows within hundreds of labels."""
RECENT_MAX = 2_000
PART_MIN = 20


class Split(msgspec.Struct):
    """Where the labels changed, and both sides of it; `before` is what was expected where nothing good came before."""

    since_us: int
    n: int
    correct: int
    before: float | None

    @property
    def after(self) -> float:
        """Return the accuracy since the change."""
        return self.correct / self.n


class Concept(msgspec.Struct):
    """The bets of one champion since it was promoted."""

    budget: float
    evidence: list[float]
    recent: list[tuple[int, float, bool]] = []
    """(at_us, x, correct) of the newest labels."""
    split: Split | None = None
    """Told of by the open incident."""

    @classmethod
    def start(cls, budget: float) -> "Concept":
        """Return a detector that has seen nothing; `budget` is labels per false alarm."""
        return cls(budget, [0.0] * len(LAMBDAS))

    @property
    def level(self) -> float:
        """Return the number that is held against the budget."""
        return sum(self.evidence) / len(self.evidence)

    def see(self, *, confidence: float, correct: bool, at_us: int) -> None:
        """Take one labelled prediction, in the order of event time."""
        x = confidence - EPSILON - correct
        most = CEILING * self.budget
        self.evidence = [
            min((1.0 + evidence) * (1.0 + stake * x), most)
            for stake, evidence in zip(LAMBDAS, self.evidence, strict=True)
        ]
        self.recent.append((at_us, x, correct))
        if len(self.recent) >= 2 * RECENT_MAX:
            del self.recent[:RECENT_MAX]
        if self.split is not None:
            self.split.n += 1
            self.split.correct += correct


def split_of(recent: Sequence[tuple[int, float, bool]], *, expected: float | None) -> Split:
    """Return where the residuals changed most: the two means that fit them best, each part of 20 or more.

    Where the first part is half as bad as the second or worse, nothing changed: it was so from the start.
    """
    x = np.array([one[1] for one in recent])
    first = 0
    if len(x) >= 2 * PART_MIN:
        sums = np.cumsum(x)[PART_MIN - 1 : -PART_MIN]
        sizes = np.arange(PART_MIN, len(x) - PART_MIN + 1)[: len(sums)]
        fit = sums**2 / sizes + (x.sum() - sums) ** 2 / (len(x) - sizes)
        best = int(np.argmax(fit))
        is_change = sums[best] / sizes[best] < (x.sum() - sums[best]) / (len(x) - sizes[best]) / 2
        first = int(sizes[best]) if is_change else 0
    correct = [one[2] for one in recent]
    return Split(
        since_us=recent[first][0],
        n=len(recent) - first,
        correct=sum(correct[first:]),
        before=sum(correct[:first]) / first if first else expected,
    )
