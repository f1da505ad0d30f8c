"""Results as the table of docs/correctness.md."""

from collections.abc import Mapping
from typing import Any

from benchmarks.features.tables import table

Results = Mapping[str, Any]
BEGIN, END = "<!-- peers: written by python -m benchmarks.correctness -->", "<!-- end of the peers -->"
NAMES = {
    ("millrace", "rule"): "**Millrace**, by its stated rule",
    ("millrace", "window"): "**Millrace**",
    ("quix", "window"): "Quix Streams, `sliding_window`",
    ("faust", "widest"): "Faust, widest hopping window",
    ("faust", "value"): "Faust, `.value()`",
}
HEAD = ("records", "rows expected", "came", "missing", "too many", "repeated", "wrong", "largest error", "count off by")


def tables(results: Results) -> str:
    """Return a table for each stream, under its name and what was done."""
    return "\n\n".join(_of_stream(name, stream) for name, stream in results["streams"].items())


def _of_stream(name: str, stream: Results) -> str:
    drivers, rows = stream["drivers"], []
    for (driver, reading), text in NAMES.items():
        if driver in drivers:
            found = drivers[driver]
            kills = f", killed {found['kills']} times" if found["kills"] else ""
            rows.append([text + kills, f"{found['records']:,}", *_cells(found["readings"][reading])])
    return table([name, *HEAD], rows)


def _cells(found: Results) -> list[str]:
    counted = [f"{found[what]:,}" for what in ("expected", "came", "missing", "surplus", "repeated")]
    wrong = f"{found['wrong']:,} ({found['wrong'] / max(found['expected'], 1):.1%})" if found["wrong"] else "0"
    return [*counted, wrong, f"{found['largest_error']:.2g}", f"{found['count_error_mean']:.2%}"]


def placed(page: str, results: Results) -> str:
    """Return the page with the tables in their place."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no place for the peers")
    return f"{before}{begin}\n{tables(results)}\n{end}{after}"
