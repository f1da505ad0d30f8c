"""Which version of each model answers, and which stays warm beside it."""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace_common.errors import MillraceError
from millrace_common.messages import Arm
from millrace_serving.core.definitions import Definition

Matrix = NDArray[np.float32]
WARM_MAX = 2


class ScoringFailed(MillraceError):
    """A model that was loaded could not score its rows."""


class Score(Protocol):
    """A model in memory."""

    def __call__(self, matrix: Matrix) -> Matrix:
        """Return one score for each row of a float32 [n, k]; raises ScoringFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """An artifact that passed every check of loading. A score at or above `threshold` decides True."""

    score: Score
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Active:
    """The version that answers, with the promotion that put it there."""

    arm: Arm
    epoch: int
    loaded: Loaded


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the version that should answer is not loaded. A passing failure is tried again."""

    digest: str
    version: str
    text: str
    passing: bool

    @property
    def facts(self) -> dict[str, str | bool]:
        """Return what a log line says of it."""
        return {"digest": self.digest, "error": self.text, "passing": self.passing}


@dataclass(slots=True)
class Slot:
    """One model's place.

    `active` is replaced whole; a request keeps the one it took: what was replaced drains by reference count.
    """

    definition: Definition
    active: Active | None = None
    failure: Failure | None = None
    warm: dict[str, Loaded] = field(default_factory=dict)

    def activate(self, active: Active) -> None:
        """Let a version answer from now on; the one before it stays warm."""
        self.warm.pop(active.arm.digest, None)
        self.warm[active.arm.digest] = active.loaded
        while len(self.warm) > WARM_MAX:
            del self.warm[next(iter(self.warm))]
        self.failure = None
        self.active = active

    def vacate(self) -> None:
        """Let no version answer: the promotion in force names none."""
        self.failure = None
        self.active = None

    @property
    def is_waiting(self) -> bool:
        """Say whether the first version to answer could not be fetched yet."""
        return self.active is None and self.failure is not None and self.failure.passing

    @property
    def state(self) -> "SlotState":
        """Return what an operator is told."""
        active, failure = self.active, self.failure
        return SlotState(
            model=self.definition.name,
            version=active.arm.version if active else None,
            digest=active.arm.digest if active else None,
            epoch=active.epoch if active else None,
            warm=tuple(self.warm),
            failed_version=failure.version if failure else None,
            failure=failure.text if failure else None,
        )


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """What answers for one model, what stays warm, and why the version in force is not loaded."""

    model: str
    version: str | None
    digest: str | None
    epoch: int | None
    warm: tuple[str, ...]
    failed_version: str | None
    failure: str | None
