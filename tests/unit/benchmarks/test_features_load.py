"""The load of the feature benchmark: real events, in the partitions where Kafka's own producers put them."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
from benchmarks.features.events import START_MS, Load, Workload, loads, partitions_of
from benchmarks.features.topics import parted
from hypothesis import given
from hypothesis import strategies as st

from millrace.loading import load
from millrace_common.keys import partition_of
from millrace_engine.events import compile_events

WORKLOAD = Workload("w", cards=1_000, events=2_000)


def whole(workload: Workload) -> Load:
    """Return all events of a small workload."""
    (found,) = loads(workload, 4)
    return found


def test_every_event_keeps_the_contract_of_the_declared_class() -> None:
    """What the generator writes is what the service counts."""
    events = compile_events(load(["benchmarks.features.declared:BASE"]))
    found = whole(WORKLOAD)

    checked = [events.check(value) for value in found.values]

    assert [event.entity_id.encode() for event in checked] == found.keys
    assert len({event.id for event in checked}) == WORKLOAD.events
    assert [event.time_us for event in checked] == sorted(event.time_us for event in checked)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    """A workload is its numbers."""
    assert whole(WORKLOAD).values == whole(WORKLOAD).values
    assert whole(WORKLOAD).values != whole(replace(WORKLOAD, seed=5)).values


def test_event_times_span_the_time_asked_for() -> None:
    """The first event is at the start, the last just before the end."""
    times = [json.loads(value)["ts"] for value in whole(replace(WORKLOAD, span_ms=4_000)).values]

    assert (times[0], times[-1]) == (START_MS, START_MS + 3_998)


@given(st.lists(st.integers(0, 9_999_999), min_size=1, max_size=50), st.integers(1, 64))
def test_partitions_are_those_of_the_java_client(cards: list[int], partitions: int) -> None:
    """The hash by whole columns is the hash of each key."""
    keys = [b"c%07d" % card for card in cards]
    columns = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 8)

    assert partitions_of(columns, partitions).tolist() == [partition_of(key, partitions) for key in keys]


def test_zipf_prefers_few_cards_uniform_none_and_each_takes_turns() -> None:
    """The first card has its share by Zipf's law; evenly drawn cards are alike; each comes once in its turn."""
    counts = {
        skew: Counter(whole(replace(WORKLOAD, skew=skew, events=20_000)).keys) for skew in ("zipf", "uniform", "each")
    }
    share = 1 / sum(rank**-1.1 for rank in range(1, 1_001))

    assert abs(counts["zipf"][b"c0000000"] / 20_000 - share) < 0.01
    assert max(counts["uniform"].values()) < 50
    assert set(counts["each"].values()) == {20}


def test_a_load_is_parted_in_its_order() -> None:
    """Each partition gets its events in log order, none is lost."""
    found = whole(WORKLOAD)
    parts = parted(found)

    for partition, pairs in parts.items():
        assert pairs == [
            (key, value)
            for key, value, at in zip(found.keys, found.values, found.partitions, strict=True)
            if at == partition
        ]
    assert sum(map(len, parts.values())) == WORKLOAD.events
