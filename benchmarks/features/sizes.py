"""How much is measured: whole, or a look of a few minutes."""

from dataclasses import dataclass

from benchmarks.features.events import DAY_MS, Workload


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a run. Seconds limit drivers that are too slow for all the events."""

    parts: tuple[str, ...]
    repeats: int
    workloads: tuple[Workload, ...]
    drivers: tuple[str, ...]
    once: tuple[str, ...]
    """Drivers that run on the first workload alone."""
    sweep: Workload
    seconds_max: float
    load_seconds: float
    read_cards: int
    reads: int
    kept_cards: int
    profile_seconds: float


def _zipf(events: int) -> Workload:
    return Workload("10,000 cards, Zipf", 10_000, events)


WHOLE = Sizes(
    parts=("throughput", "sweeps", "freshness", "reading", "restart", "profile"),
    repeats=3,
    workloads=(
        _zipf(800_000),
        Workload("10,000 cards, uniform", 10_000, 800_000, "uniform"),
        Workload("1,000,000 cards, Zipf", 1_000_000, 400_000),
        Workload("1,000,000 cards, uniform", 1_000_000, 400_000, "uniform"),
        Workload("one card", 1, 1_000_000, "each", DAY_MS),
    ),
    drivers=("millrace", "faust", "quix", "raw"),
    once=("host", "quix-sliding"),
    sweep=Workload("10,000 cards, uniform", 10_000, 300_000, "uniform"),
    seconds_max=10.0,
    load_seconds=12.0,
    read_cards=10_000,
    reads=3_000,
    kept_cards=1_000_000,
    profile_seconds=8.0,
)
QUICK = Sizes(
    parts=("throughput", "freshness", "reading", "restart", "profile"),
    repeats=1,
    workloads=(_zipf(150_000),),
    drivers=("millrace", "faust", "raw"),
    once=(),
    sweep=Workload("10,000 cards, uniform", 10_000, 60_000, "uniform"),
    seconds_max=5.0,
    load_seconds=3.0,
    read_cards=1_000,
    reads=300,
    kept_cards=20_000,
    profile_seconds=2.0,
)
