"""Results as tables, and their places in docs/performance.md."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.features.curve import median

Results = Mapping[str, Any]
NAMES = {
    "millrace": "**Millrace**",
    "faust": "Faust, `take` with the same batched writes",
    "quix": "Quix Streams, tumbling windows",
    "quix-sliding": "Quix Streams, sliding windows",
    "raw": "aiokafka alone: consume, decode, produce",
    "host": "the host alone: as ours, and nothing computed",
}
_BEGIN, _END = "<!-- table: {} -->", "<!-- end of table -->"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown; the first column is text, the others are numbers.

    >>> print(table(["what", "n"], [["rows", 3]]))
    | what | n |
    |---|--:|
    | rows | 3 |
    """
    lines = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return "\n".join(
        "|" + "|".join(str(cell) for cell in line) + "|" if line is lines[1] else _line(line) for line in lines
    )


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def throughput(results: Results) -> str:
    """Return events per second by workload and driver, with what Millrace is to each: to its neighbour in each turn."""
    parts = []
    for case in results["throughput"]["data"]:
        ours = case["drivers"]["millrace"]
        rows = [
            [
                NAMES[driver],
                f"{_median(found, 'events_per_second'):,.0f}",
                f"{min(s['events_per_second'] for s in found):,.0f}-{max(s['events_per_second'] for s in found):,.0f}",
                f"{_median(found, 'cpu_us_per_event'):.2f}",
                f"{_median(found, 'rss_mib'):,.0f}",
                f"{_median(found, 'loop_us'):,.0f}",
                _percent(case["exact"].get(driver)),
                f"{_ratio(ours, found, 'events_per_second'):.2f} x",
            ]
            for driver, found in case["drivers"].items()
        ]
        name = case["workload"]["name"]
        head = [name, "events/s", "repeats", "CPU us/event", "RSS MiB", "loop us", "rows exact", "Millrace is"]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def sweeps(results: Results) -> str:
    """Return what one event costs when one thing grows."""
    cases = results["sweeps"]["data"]
    base = _median(cases[0]["samples"], "cpu_us_per_event")
    rows = [
        [
            case["case"],
            f"{_median(case['samples'], 'events_per_second'):,.0f}",
            f"{_median(case['samples'], 'cpu_us_per_event'):.2f}",
            f"{_median(case['samples'], 'cpu_us_per_event') / base:.2f} x",
            f"{_median(case['samples'], 'row_bytes'):,.0f}",
            f"{_median(case['samples'], 'loop_us'):,.0f}",
        ]
        for case in cases
    ]
    return table(["10,000 cards, uniform", "events/s", "CPU us/event", "cost", "bytes of a row", "loop us"], rows)


def freshness(results: Results) -> str:
    """Return the time from append to readable."""
    rows = [
        [
            f"{case['share']:.0%} of the maximum" + (", the host alone" if case["driver"] == "host" else ""),
            f"{_median(case['samples'], 'rate'):,.0f}",
            f"{_median(case['samples'], 'p50_us') / 1_000:.1f}",
            f"{_median(case['samples'], 'p99_us') / 1_000:.1f}",
            f"{_median(case['samples'], 'core_share'):.0%}",
            f"{_median(case['samples'], 'load_core_share'):.0%}",
            f"{_median(case['samples'], 'loop_us'):,.0f}",
            sum(sample["n"] for sample in case["samples"]),
        ]
        for case in results["freshness"]["data"]
    ]
    head = ["load", "events/s", "p50 ms", "p99 ms", "of its core", "of the other core", "loop us", "probes"]
    return table(head, rows)


def reading(results: Results) -> str:
    """Return read latencies and bytes beside Feast's."""
    data = results["reading"]["data"]
    rows = []
    for size, name in (("single", "one card"), ("batch", "100 cards")):
        for at in ("p50_us", "p99_us"):
            ours, theirs = (median([r[who][size][at] for r in data["repeats"]]) for who in ("millrace", "feast"))
            label = f"{name}, {at.removesuffix('_us')}, us"
            rows.append([label, f"{ours:,.0f}", f"{theirs:,.0f}", f"{theirs / ours:.1f} x"])
    ours, theirs = (data["redis_bytes_per_card"][who] for who in ("millrace", "feast"))
    rows.append(["Redis, bytes for each card", f"{ours:,.0f}", f"{theirs:,.0f}", f"{theirs / ours:.2f} x"])
    return table(["three groups of three features", "Millrace", "Feast", "Feast to Millrace"], rows)


def restart(results: Results) -> str:
    """Return what a great state costs."""
    data = results["restart"]["data"]
    rows = [
        ["process memory for each card, bytes", f"{data['memory_bytes_per_card']:,.0f}"],
        ["Redis for each card, bytes (value and id horizon)", f"{data['redis_bytes_per_card']:,.0f}"],
        ["restart: from the start of the process to the first new row, s", f"{data['restart_first_row_seconds']:.1f}"],
        ["Redis emptied: from the start of the process until all is rebuilt, s", f"{data['rebuild']['seconds']:.1f}"],
        ["rebuilt byte for byte (but for the time of writing)", "yes" if data["rebuilt_exactly"] else "**no**"],
    ]
    return table([f"{data['cards']:,} cards", ""], rows)


def profile(results: Results) -> str:
    """Return where the core's time goes."""
    found = results["profile"]["data"]
    rows = [[f"`{name}`", f"{share:.1f}"] for name, share in found["modules"].items() if share >= 1]
    return table([f"module at work ({found['samples']:,} samples)", "%"], rows)


def conditions(results: Results) -> str:
    """Return when, on what and of which commit each part was measured."""
    rows = [
        [name, part["at"], f"`{part['commit']}`", "provisional" if part["provisional"] else "quiet", part["seconds"]]
        for name, part in results.items()
    ]
    return table(["part", "measured", "commit", "machine was", "took s"], rows)


TABLES: Mapping[str, Callable[[Results], str]] = {
    "throughput": throughput,
    "sweeps": sweeps,
    "freshness": freshness,
    "reading": reading,
    "restart": restart,
    "profile": profile,
}


def placed(page: str, results: Results) -> str:
    """Return the page with every table that the results have in its place; the others stay as they are."""
    texts = {name: write(results) for name, write in TABLES.items() if name in results}
    for name, text in {**texts, "conditions": conditions(results)}.items():
        before, begin, rest = page.partition(_BEGIN.format(name))
        if not begin:
            raise ValueError(f"the page has no place for the table {name}")
        page = f"{before}{begin}\n{text}\n{_END}{rest.partition(_END)[2]}"
    return page


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _ratio(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return what ours is to theirs in the same turn: a core that is slow for minutes is slow for both then."""
    return median([one[name] / other[name] for one, other in zip(ours, theirs, strict=True)])


def _median(samples: Sequence[Mapping[str, Any]], name: str) -> float:
    return median([sample[name] for sample in samples])
