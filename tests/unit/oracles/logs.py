"""What the oracle and the engine are held against each other on: every aggregate, and logs as producers send them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import Phase
from hypothesis import strategies as st
from tests.fakes.customs import Swing
from tests.fakes.features.deployment import AMOUNT, BIG, PAYMENT, SECOND, VISIT
from tests.unit.oracles.windows import Past

from millrace.custom import import_path
from millrace.spec import AggregateOp, EventSpec, FeatureSpec, FieldRef, GroupSpec

WINDOWS = {"2s": 2 * SECOND, "61s": 61 * SECOND}
TEXT = FieldRef("payment", "merchant", "str")
LATENESS_US = 10 * SECOND
HOT = replace(PAYMENT, lateness_us=LATENESS_US, dedupe_us=40 * SECOND)
EVENTS: dict[str, EventSpec] = {HOT.type: HOT, VISIT.type: VISIT}

_NUMBERED: tuple[AggregateOp, ...] = ("sum", "mean", "min", "max", "var", "std", "first", "ratio")

_DECAYED: tuple[AggregateOp, ...] = ("decayed_sum", "decayed_mean")


def _of_window(name: str, window_us: int) -> list[FeatureSpec]:
    features = [FeatureSpec(f"{op}_{name}", op, AMOUNT, window_us) for op in _NUMBERED]
    features += [FeatureSpec(f"{op}_big_{name}", op, AMOUNT, window_us, where=BIG) for op in _NUMBERED]
    features += [FeatureSpec(f"q{int(100 * q)}_{name}", "quantile", AMOUNT, window_us, q=q) for q in (0.0, 0.5, 0.99)]
    return [
        *features,
        FeatureSpec(f"n_{name}", "count", None, window_us),
        FeatureSpec(f"n_paid_{name}", "count", AMOUNT, window_us),
        FeatureSpec(f"n_big_now_{name}", "count", None, window_us, where=BIG, include_current=True),
        FeatureSpec(f"rate_{name}", "rate", None, window_us),
        FeatureSpec(f"mean_now_{name}", "mean", AMOUNT, window_us, include_current=True),
        FeatureSpec(f"q50_now_{name}", "quantile", AMOUNT, window_us, q=0.5, include_current=True),
        FeatureSpec(f"shops_{name}", "distinct", TEXT, window_us),
        FeatureSpec(f"amounts_{name}", "distinct", AMOUNT, window_us, where=BIG),
        FeatureSpec(f"third_{name}", "last", AMOUNT, window_us, n=3),
        FeatureSpec(f"swing_{name}", "custom", AMOUNT, window_us, where=BIG, custom=import_path(Swing)),
        FeatureSpec(f"since_{name}", "time_since_last", None, window_us),
    ]


WINDOWED = GroupSpec(
    "Windowed",
    "payment",
    ("card",),
    tuple(feature for name, window_us in WINDOWS.items() for feature in _of_window(name, window_us)),
    "0011aa" * 6,
)
DECAYED = GroupSpec(
    "Decayed",
    "payment",
    ("card",),
    tuple(
        FeatureSpec(f"{op}_{half}s", op, AMOUNT, 32 * half * SECOND, half_life_us=half * SECOND, where=where)
        for op in _DECAYED
        for half, where in ((1, None), (3, BIG))
    ),
    "0022bb" * 6,
)
COUNTED = GroupSpec(
    "Counted",
    "payment",
    ("card",),
    (
        *(FeatureSpec(f"{op}_of_10", op, AMOUNT, None, events=10) for op in (*_NUMBERED, "count")),
        FeatureSpec("median_of_64", "quantile", AMOUNT, None, events=64, q=0.5),
        FeatureSpec("shops_of_20", "distinct", TEXT, None, events=20),
        FeatureSpec("n_big_of_5", "count", None, None, events=5, where=BIG, include_current=True),
        FeatureSpec("last", "last", AMOUNT, None),
        FeatureSpec("fiftieth_big", "last", AMOUNT, None, n=50, where=BIG),
        FeatureSpec("since", "time_since_last", None, None),
        FeatureSpec("since_big", "time_since_last", None, None, where=BIG),
        FeatureSpec("sum_61s", "sum", AMOUNT, 61 * SECOND),
    ),
    "0033cc" * 6,
)
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A log is drawn from a seed: there is nothing to shrink."""
GROUPS = (COUNTED, DECAYED, WINDOWED)
"""In the order of their keys."""


@dataclass(frozen=True)
class Logged:
    """An event as it lies on the log."""

    entity: str
    event: Past


AMOUNTS = (None, 0.0, -0.0, 0.1, 0.2, 0.7, 5.0, 5.5, -3.25, 1e16, -1e16, 3.4e38, 1e-40, 1e300)


@dataclass(frozen=True)
class Stream:
    """How the events of a few entities come. `entities` have so many events, so far apart (us)."""

    seed: int
    order: str
    doubled: float
    entities: tuple[tuple[int, int], ...]
    corrected: float = 0.0

    def log(self) -> list[Logged]:
        """Return the events as they come."""
        rng = random.Random(self.seed)
        parts = zip("abcd", self.entities, strict=False)
        log = [sent for name, (n, pace_us) in parts for sent in _sent(rng, name, n, pace_us, order=self.order)]
        log.sort(key=lambda logged: logged.event.fields["arrives"] or 0)
        for i in range(len(log)):
            if rng.random() < self.doubled:
                log.insert(i, log[rng.randrange(max(i - 30, 0), i + 1)])
        return [sent for i in range(len(log)) for sent in (log[i], *self._corrections(rng, log, i))]

    def _corrections(self, rng: random.Random, log: list[Logged], i: int) -> Iterator[Logged]:
        """Yield corrections after the i-th event: of one of the last few, or of any, even of one that is to come."""
        while rng.random() < self.corrected:
            told = rng.choice(log[max(i - 60, 0) : i + 1]) if rng.random() < 0.8 else rng.choice(log)
            again = _event(rng, told.event.event_id, told.event.type, told.event.time_us, many=rng.random() < 0.5)
            moved_us = rng.choice((0, 0, rng.randint(-2 * LATENESS_US, LATENESS_US)))
            how = rng.choice(("replace", "replace", "withdraw"))
            yield Logged(told.entity, replace(again, time_us=again.time_us + moved_us, correction=how))


_BURSTS = st.tuples(
    st.sampled_from([3, 70, 150, 300]), st.sampled_from([1, 3_000, SECOND // 20, SECOND // 3, 2 * SECOND])
)
STREAMS = st.builds(
    Stream,
    st.integers(0, 2**32),
    st.sampled_from(["in order", "shuffled", "late"]),
    st.sampled_from([0.0, 0.2]),
    st.lists(_BURSTS, min_size=1, max_size=4).map(tuple),
)
"""Streams with bursts of more events than a ring holds."""
CORRECTED = STREAMS.map(lambda stream: replace(stream, corrected=0.2))
"""The same, with events that are replaced or withdrawn: once, or again and again."""


def _sent(rng: random.Random, entity: str, n: int, pace_us: int, *, order: str) -> list[Logged]:
    slack = {"in order": 0, "shuffled": LATENESS_US, "late": 2 * LATENESS_US}[order]
    many, time_us, events = rng.random() < 0.5, 1_700_000_000 * SECOND, []
    for i in range(n):
        time_us += rng.choice((0, 1, pace_us, 2 * pace_us)) + (90 * SECOND if rng.random() < 0.005 else 0)
        type_ = "visit" if rng.random() < 0.05 else "payment"
        event = _event(rng, f"{entity}{i}", type_, time_us, many=many)
        arrives = {"arrives": time_us + rng.randint(0, slack)}
        events.append(Logged(entity, replace(event, fields={**event.fields, **arrives})))
    return events


def _event(rng: random.Random, event_id: str, type_: str, time_us: int, *, many: bool) -> Past:
    """Return an event with an amount and a merchant out of `many`, or out of a few odd ones."""
    amount = rng.lognormvariate(3, 3) if many else rng.choice(AMOUNTS)
    shop = None if rng.random() < 0.05 else f"m{rng.randrange(500 if many else 5)}"
    return Past(event_id, type_, time_us, {"amount": amount, "merchant": shop})
