"""Concept drift on late labels: bets on calibrated confidence minus correctness.

For each labelled prediction x = confidence - eps - correct. While the model is as good as it says, whatever the inputs
do, x has no positive mean, and R <- (1 + R)(1 + lambda x) is an e-detector; so is the mean over several lambda.
Alarming at `labels_per_false_alarm` keeps the mean time between false alarms at least that many labels.
"""

import math

import msgspec

EPSILON = 0.01
LAMBDAS = (0.05, 0.1, 0.2, 0.4)
CEILING = 10.0
"""Evidence is kept below this multiple of the budget, so that a recovery shows within hundreds of labels."""


class Bet(msgspec.Struct):
    """One lambda's evidence, and where its CUSUM began: the estimate of the change point."""

    stake: float
    evidence: float = 0.0
    log_cusum: float = 0.0
    since_us: int | None = None
    since_n: int = 0
    since_correct: int = 0


class Concept(msgspec.Struct):
    """The bets of one champion since it was promoted."""

    budget: float
    bets: list[Bet]
    n: int = 0
    correct: int = 0

    @classmethod
    def start(cls, budget: float) -> "Concept":
        """Return a detector that has seen nothing; `budget` is labels per false alarm."""
        return cls(budget, [Bet(stake) for stake in LAMBDAS])

    @property
    def level(self) -> float:
        """Return the number that is held against the budget."""
        return sum(bet.evidence for bet in self.bets) / len(self.bets)

    @property
    def leading(self) -> Bet:
        """Return the bet with the most evidence."""
        return max(self.bets, key=lambda bet: bet.evidence)

    def see(self, *, confidence: float, correct: bool, at_us: int) -> None:
        """Take one labelled prediction, in the order of event time."""
        self.n += 1
        self.correct += correct
        x = confidence - EPSILON - correct
        for bet in self.bets:
            _advance(bet, x, correct=correct, at_us=at_us, evidence_max=CEILING * self.budget)

    def before(self) -> float | None:
        """Return the accuracy before the estimated change; None on fewer than 50 labels."""
        bet = self.leading
        n = self.n - bet.since_n
        return (self.correct - bet.since_correct) / n if n >= 50 else None

    def after(self) -> float | None:
        """Return the accuracy since the estimated change."""
        bet = self.leading
        return bet.since_correct / bet.since_n if bet.since_n else None


def _advance(bet: Bet, x: float, *, correct: bool, at_us: int, evidence_max: float) -> None:
    factor = 1.0 + bet.stake * x
    bet.evidence = min((1.0 + bet.evidence) * factor, evidence_max)
    rise = bet.log_cusum + math.log(factor)
    if rise <= 0.0:
        bet.log_cusum, bet.since_us, bet.since_n, bet.since_correct = 0.0, None, 0, 0
        return
    if bet.since_us is None:
        bet.since_us = at_us
    bet.log_cusum = rise
    bet.since_n += 1
    bet.since_correct += correct
