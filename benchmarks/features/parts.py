"""The parts of a run: which measurements each makes, of which sizes, and what it keeps."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from benchmarks.features import agreement, curve, freshness, profile, reading, restart
from benchmarks.features.agreement import Features
from benchmarks.features.events import Workload
from benchmarks.features.programs import OURS, ROW_BYTES
from benchmarks.features.servers import Servers
from benchmarks.features.sizes import Sizes
from benchmarks.features.throughput import Run, sample

from millrace_common.errors import Unavailable

Found = Mapping[str, Any]
Part = Callable[[Servers, Sizes, Found], object]
LOADS = (0.2, 0.5, 0.8)
EXACT = "faust"
"""Its deques hold every event, so that its rows are what exact windows say."""
COMPARED = ("millrace", EXACT)
"""Quix's windows hold the event itself too: its rows are others."""


def warm(servers: Servers, sizes: Sizes) -> None:
    """Run the service once before anything is measured: it reads its kernels, the broker compiles its own code."""
    sample(servers, Run("millrace", sizes.workloads[0]))


def throughput(servers: Servers, sizes: Sizes, results: Found) -> list[dict[str, object]]:
    """Run every driver on every workload, in turn, so that none has the machine at its best hour."""
    found: list[dict[str, object]] = []
    for workload in sizes.workloads:
        drivers = sizes.drivers + (() if found else sizes.once)
        samples: dict[str, list[dict[str, Any]]] = {driver: [] for driver in drivers}
        answers: dict[str, Features] = {}
        row_bytes = ROW_BYTES
        for _ in range(sizes.repeats):
            for driver in drivers:
                run = Run(driver, workload, "BASE", sizes.seconds_max, row_bytes)
                figures, answers[driver] = _sampled(servers, run)
                samples[driver].append(figures)
            row_bytes = round(samples["millrace"][-1]["row_bytes"])
        exact = {driver: agreement.share(answers[driver], answers[EXACT]) for driver in COMPARED}
        found.append({"workload": asdict(workload), "drivers": samples, "exact": exact})
    return found


def sweeps(servers: Servers, sizes: Sizes, results: Found) -> list[dict[str, object]]:
    """Run the service with one thing ten times as great: cards, windows, their length, features."""
    base = sizes.sweep
    cases = {
        "as it is": ("BASE", base),
        "10 x cards": ("BASE", replace(base, name="10 x cards", cards=base.cards * 10)),
        "100 x cards": ("BASE", replace(base, name="100 x cards", cards=base.cards * 100)),
        "10 x windows": ("WINDOWS_X10", base),
        "10 x window length": ("LENGTH_X10", replace(base, span_ms=base.span_ms * 10)),
        "10 x features": ("FEATURES_X10", base),
    }
    samples: dict[str, list[dict[str, object]]] = {name: [] for name in cases}
    for _ in range(sizes.repeats):
        for name, (pipeline, workload) in cases.items():
            samples[name].append(_sampled(servers, Run("millrace", workload, pipeline, sizes.seconds_max))[0])
    return [{"case": name, "samples": found} for name, found in samples.items()]


def fresh(servers: Servers, sizes: Sizes, found: Found) -> list[dict[str, object]]:
    """Load the service with shares of what it was measured to do at most, in turn with its host alone."""
    most = maximum(servers, sizes, found)
    samples = {(share, name): list[dict[str, object]]() for share in LOADS for name in OURS}
    for _ in range(sizes.repeats):
        for (share, name), one in samples.items():
            one.append(freshness.measure(servers, share * most, sizes.load_seconds, OURS[name]))
    return [{"share": share, "driver": name, "maximum": most, "samples": one} for (share, name), one in samples.items()]


def maximum(servers: Servers, sizes: Sizes, found: Found) -> float:
    """Return events per second of the first workload: as measured in this run, else measured now."""
    if "throughput" in found:
        samples = found["throughput"]["data"][0]["drivers"]["millrace"]
        return curve.median([sample["events_per_second"] for sample in samples])
    now, _ = sample(servers, Run("millrace", sizes.workloads[0], "BASE", sizes.seconds_max))
    return now.events_per_second


def read(servers: Servers, sizes: Sizes, results: Found) -> dict[str, object]:
    """Read three groups beside Feast."""
    return reading.measure(servers, sizes.read_cards, sizes.reads, sizes.repeats)


def restarted(servers: Servers, sizes: Sizes, results: Found) -> dict[str, object]:
    """Start again with a great state, and with none of it left; once: it is long and varies little."""
    found = restart.measure(servers, sizes.kept_cards)
    return {**found, "memory_bytes_per_card": restart.per_key(found)}


def profiled(servers: Servers, sizes: Sizes, results: Found) -> dict[str, object]:
    """Take samples of the service at its full speed on a topic that lasts as long as they do."""
    first: Workload = sizes.workloads[0]
    return profile.measure(servers, replace(first, events=first.events * 4), sizes.profile_seconds)


def _sampled(servers: Servers, run: Run) -> tuple[dict[str, Any], Features]:
    """Make one run; one that fails is made once more, so that an hour of figures does not go with it."""
    try:
        figures, answers = sample(servers, run)
    except (Unavailable, ValueError) as error:
        print(f"  {run.workload.name}, {run.pipeline}: {run.driver} failed, and is run again: {error}", flush=True)
        figures, answers = sample(servers, run)
    print(f"  {run.workload.name}, {run.pipeline}: {run.driver} {figures.events_per_second:,.0f} events/s", flush=True)
    return asdict(figures), answers


PARTS: Mapping[str, Part] = {
    "throughput": throughput,
    "sweeps": sweeps,
    "freshness": fresh,
    "reading": read,
    "restart": restarted,
    "profile": profiled,
}
