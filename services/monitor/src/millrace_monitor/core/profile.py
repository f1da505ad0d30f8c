"""The reference that one version is watched against: profile.json of its artifact, made ready."""

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from millrace_common import profiles
from millrace_common.errors import Refused
from millrace_common.profiles import Counts
from millrace_monitor.core.histograms import Layout

SCORE = "__score"
"""The score's name among the columns and in `reference_windows`."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column's reference: its cells, its spread, and the sorted distances of the reference windows."""

    name: str
    edges: tuple[float, ...]
    cells: Counts
    scale: float
    w1: tuple[float, ...]
    ks: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The reference of one version; the last column is the score."""

    columns: tuple[Column, ...]
    layout: Layout
    accuracy: float
    overconfidence: float
    """How much the mean confidence on the reference rows exceeds the accuracy there; never negative."""


def parse(data: bytes) -> Profile:
    """Return the profile of a profile.json; raises Refused `artifact-corrupt` where it cannot be used."""
    try:
        file = profiles.decode(data)
    except msgspec.DecodeError as error:
        raise Refused("artifact-corrupt", str(error), field="profile.json") from error
    score = profiles.ColumnProfile(name=SCORE, edges=file.score.edges, counts=file.score.counts, scale=file.score_scale)
    columns = tuple(_column(one, file.reference_windows.get(one.name)) for one in (*file.columns, score))
    return Profile(
        columns=columns,
        layout=Layout.of([one.edges for one in columns]),
        accuracy=file.accuracy.value,
        overconfidence=max(0.0, mean_confidence(columns[-1], file.threshold) - file.accuracy.value),
    )


def mean_confidence(score: Column, threshold: float) -> float:
    """Return the mean confidence of the decisions that the scores of a histogram lead to; 0 without scores."""
    known = score.cells[:-1]
    if not known.sum():
        return 0.0
    edges = np.clip(np.asarray(score.edges, np.float64), 0.0, 1.0)
    at = np.concatenate((edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]))
    confidence = np.where(at >= threshold, at, 1.0 - at)
    return float((known * confidence).sum() / known.sum())


def _column(file: profiles.ColumnProfile, windows: profiles.ReferenceWindows | None) -> Column:
    edges = file.edges
    if not edges or len(file.counts) != len(edges) + 2 or any(a >= b for a, b in pairwise(edges)):
        raise Refused("artifact-corrupt", "edges must rise, counts be two more than edges", field=file.name)
    if not file.scale > 0:
        raise Refused("artifact-corrupt", "the scale must be above 0", field=file.name)
    return Column(
        name=file.name,
        edges=edges,
        cells=np.array(file.counts, dtype=np.int64),
        scale=file.scale,
        w1=tuple(sorted(windows.w1)) if windows else (),
        ks=tuple(sorted(windows.ks)) if windows else (),
    )
