"""From times to figures, from figures to tables, from tables to the page."""

import re

import msgspec
import numpy as np
import pytest
from benchmarks.features import agreement, curve, profile, tables
from benchmarks.features.freshness import Probes
from benchmarks.features.machine import ROOT


def test_a_rate_leaves_out_a_slow_start_and_a_slow_end() -> None:
    """Ten rows that trickle in before and after do not change what the steady part shows."""
    steady = np.repeat(np.arange(10_000, 11_000, 10), 10)
    trickle = np.arange(10) * 500

    assert curve.rate(np.concatenate([trickle, steady, 20_000 + trickle])) == 1_000


def test_a_rate_does_not_count_the_batch_that_it_starts_with() -> None:
    """Batches of 100 each 100 ms are 1,000 rows a second, however few batches there are."""
    assert curve.rate(np.repeat(np.arange(0, 500, 100), 100)) == 1_000


def test_rows_that_were_taken_at_once_have_no_rate() -> None:
    """One batch says nothing of a speed."""
    with pytest.raises(ValueError, match="too few rows"):
        curve.rate(np.repeat(5, 100))


def test_quantiles_are_in_microseconds() -> None:
    """p50 of 1..101 ms is 51 ms."""
    found = curve.quantiles([i / 1_000 for i in range(1, 102)])

    assert (found["n"], found["p50_us"], found["p99_us"], found["max_us"]) == (101, 51_000, 100_000, 101_000)


def test_a_probe_is_seen_when_its_own_event_or_a_newer_one_is_in() -> None:
    """A value of an older offset, or none, leaves it waiting."""
    probes = Probes(waiting=[("a", 7, 1_000), ("b", 7, 1_000), ("c", 7, 1_000), ("d", 7, 1_000)])
    offsets = [(6).to_bytes(8, "little"), b"", (7).to_bytes(8, "little"), (8).to_bytes(8, "little")]

    probes.look(offsets, now=1.25)

    assert [key for key, _, _ in probes.waiting] == ["a", "b"]
    assert probes.seconds == [0.25, 0.25]


def test_samples_count_for_the_innermost_frame() -> None:
    """The share of a module is that of the stacks that end in it."""
    lines = [
        "main (/x/src/a/__main__.py:1);work (/x/src/a/b.py:2) 3",
        "main (/x/src/a/__main__.py:1);send (/l/site-packages/k/c.py:9) 1",
    ]

    assert profile.shares(profile.folded(lines, profile.module)) == {"a.b": 75.0, "k.c": 25.0}
    assert profile.shares(profile.folded(lines, profile.function)) == {"a.b:work": 75.0, "k.c:send": 25.0}


def test_a_table_takes_its_place_and_leaves_the_text_around_it() -> None:
    """Writing twice changes nothing more; a page without the place is refused."""
    results = {"freshness": {"at": "now", "commit": "c", "provisional": True, "seconds": 1, "data": []}}
    place = "<!-- table: {} -->\n{}<!-- end of table -->\n"
    page = "a\n" + place.format("conditions", "") + "b\n" + place.format("freshness", "old\n") + "c\n"

    once = tables.placed(page, results)

    assert tables.placed(once, results) == once
    assert "old" not in once
    assert once.startswith("a\n")
    assert once.endswith("\nc\n")
    with pytest.raises(ValueError, match="no place"):
        tables.placed("nothing", results)


def test_the_page_has_a_place_for_every_table() -> None:
    """docs/performance.md names each table once, and nothing else."""
    places = re.findall(r"<!-- table: (\w+) -->", (ROOT / "docs" / "performance.md").read_text())

    assert sorted(places) == sorted([*tables.TABLES, "conditions"])


def test_rows_agree_where_all_nine_features_do() -> None:
    """A missing value of ours is the peers' 0; a difference within float32 is none; other events do not count."""
    names = agreement.NAMES
    ours = [
        {"event_id": "a", "groups": {"G@1": dict.fromkeys(names, 0.1 + 1e-9)}},
        {"event_id": "b", "groups": {"G@1": dict.fromkeys(names)}},
        {"event_id": "c", "groups": {"G@1": dict.fromkeys(names, 2.0)}},
        {"event_id": "d", "groups": {"G@1": dict.fromkeys(names, 2.0)}},
    ]
    theirs = [
        {"event_id": "a", "features": [0.1] * 9},
        {"event_id": "b", "features": [0] * 9},
        {"event_id": "c", "features": [2.0] * 8 + [2.1]},
    ]
    one, other = (agreement.features_of(map(msgspec.json.encode, rows)) for rows in (ours, theirs))

    assert agreement.share(one, other) == 2 / 3
    assert agreement.share(agreement.features_of([b"xxxx"]), other) is None
