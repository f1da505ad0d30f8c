"""What the gates look at: a candidate, its files and graph, the gate rows, and how it and the champion score them."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import ModelSpec
from millrace_common.messages import Candidate

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]

THRESHOLD = 0.5
"""The score from which a model that states none decides for the positive class."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph. A dimension that is not fixed is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What an ONNX file says of itself. `operators` are `domain:Name`, with `ai.onnx` for the default domain."""

    opsets: Mapping[str, int]
    operators: frozenset[str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    external: tuple[str, ...] = ()
    """Tensors whose data lies outside the file."""


@dataclass(frozen=True, slots=True)
class GateRows:
    """The labelled rows that only the gatekeeper reads, with the score that the native model gave them."""

    columns: tuple[str, ...]
    features: Matrix
    labels: Booleans
    entities: NDArray[np.str_]
    times_us: Integers
    scores: Floats

    @property
    def n(self) -> int:
        """Return how many rows there are."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The champion on the candidate's gate rows. `why` says why it gives no scores."""

    version: str
    threshold: float
    scores: Floats | None
    learnt_until_us: int | None
    """The rows up to this event time may have taught it; None: not recorded."""
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that is known when a candidate is decided. What is None has its reason in `problems`."""

    candidate: Candidate
    model: ModelSpec
    files: Mapping[str, bytes]
    graph: Graph | None
    rows: GateRows | None
    scores: Floats | None
    incumbent: Incumbent | None
    """None where the model has no champion yet."""
    problems: tuple[str, ...] = ()

    @property
    def threshold(self) -> float:
        """Return the score from which the candidate decides for the positive class."""
        return THRESHOLD if self.candidate.threshold is None else self.candidate.threshold


class ProfileColumn(msgspec.Struct, frozen=True):
    """The name of one input."""

    name: str


class ProfileFacts(msgspec.Struct, frozen=True):
    """What the gates need of an artifact's profile.json."""

    view_hash: str
    columns: tuple[ProfileColumn, ...]
    threshold: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs, in order."""
        return tuple(column.name for column in self.columns)


def profile_of(files: Mapping[str, bytes]) -> ProfileFacts | None:
    """Return the facts in profile.json, None where there is none that can be read."""
    try:
        return msgspec.json.decode(files.get("profile.json", b""), type=ProfileFacts)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
