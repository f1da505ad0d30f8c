"""The fold of the promotions log: who serves, who served, and which records are void (R6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from millrace_common.ids import sha256
from millrace_common.messages import Arm, Position, Promotion


@dataclass(frozen=True, slots=True)
class Effective:
    """A promotion that counts, with the hash of its bytes and where it lies."""

    promotion: Promotion
    hash: str
    position: Position


@dataclass(slots=True)
class Registry:
    """Effective promotions by model, oldest first. A record counts only as its model's next link."""

    chains: dict[str, list[Effective]] = field(default_factory=dict)
    void: int = 0

    def fold(self, promotion: Promotion, value: bytes, position: Position) -> Effective | None:
        """Take the next record of the log; return it where it counts, None where it is void."""
        chain = self.chains.setdefault(promotion.model, [])
        epoch, prev = (chain[-1].promotion.epoch + 1, chain[-1].hash) if chain else (1, None)
        if promotion.epoch != epoch or promotion.prev != prev:
            self.void += 1
            return None
        effective = Effective(promotion, sha256(value), position)
        chain.append(effective)
        return effective

    def head(self, model: str) -> Effective | None:
        """Return the newest effective promotion of a model."""
        chain = self.chains.get(model)
        return chain[-1] if chain else None

    def history(self, model: str) -> Sequence[Effective]:
        """Return the effective promotions of a model, oldest first."""
        return tuple(self.chains.get(model, ()))

    def champion(self, model: str) -> Arm | None:
        """Return the answering arm with the greatest weight; None before the first promotion."""
        head = self.head(model)
        answering = [arm for arm in head.promotion.arms if arm.role == "answer"] if head else []
        return max(answering, key=lambda arm: arm.weight_bp, default=None)

    def heads(self) -> Mapping[str, Effective]:
        """Return the head of every model."""
        return {model: chain[-1] for model, chain in self.chains.items() if chain}
