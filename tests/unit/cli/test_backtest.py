"""The backtest: the same topics each time, and an honest account of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from millrace_cli.backtest.accounts import Answered, Story, accuracy, topic_digest
from millrace_cli.backtest.page import page
from millrace_cli.backtest.report import summarise
from millrace_common.records import Record

ROOT = Path(__file__).parents[3]
ROWS = 1_600


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file with Elec2's columns whose class follows the price, and after row 800 its opposite."""
    rng = np.random.default_rng(3)
    file = tmp_path_factory.mktemp("market") / "market.csv"
    lines = ["period,nswprice,nswdemand,vicprice,vicdemand,transfer,class"]
    for row in range(ROWS):
        values = rng.uniform(size=6).round(6)
        went_up = (values[1] > 0.5) != (row >= ROWS // 2)
        lines.append(",".join(map(str, values)) + f",{int(went_up)}")
    file.write_text("\n".join(lines) + "\n")
    return file


def backtest(file: Path, *, hash_seed: str) -> dict[str, object]:
    """Run the command in a process of its own and return the report."""
    command = [sys.executable, "-m", "millrace_cli", "backtest", "pipelines.electricity:PIPELINE", str(file)]
    done = subprocess.run(
        [*command, "--delay", "0", "--bootstrap", "300", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        text=True,
    )
    (report,) = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def test_two_backtests_have_the_same_digests_and_the_loop_wins_after_a_change(market: Path) -> None:
    """Every topic has the same sha256, whatever the hash seed; retraining beats never retraining; the loop closes."""
    first, second = backtest(market, hash_seed="1"), backtest(market, hash_seed="2")

    assert first["digests"] == second["digests"]
    assert first["rows"] == first["labels"] == ROWS
    shares = first["accuracy"]
    assert isinstance(shares, dict)
    assert shares["the loop"] > shares["never retrain"] + 0.1
    alerts = first["alerts"]
    assert isinstance(alerts, list)
    assert {"performance", "retrain", "loop"} <= {said["kind"] for said in alerts}


def record(offset: int, value: bytes | None, *, key: bytes | None = b"k") -> Record:
    """Return a record."""
    return Record("features", 0, offset, key, value, (("ce_id", b"1"),), 0)


def test_a_topic_digest_tells_keys_values_headers_order_and_partitions_apart() -> None:
    """No two logs that differ have one digest."""
    logs = [
        [[]],
        [[], []],
        [[record(0, b"ab")]],
        [[record(0, b"a"), record(1, b"b")]],
        [[record(0, b"b"), record(1, b"a")]],
        [[record(0, b"ab", key=None)]],
        [[record(0, b"ab", key=b"")]],
        [[record(0, None)]],
        [[], [record(0, b"ab")]],
    ]

    assert len({topic_digest(log) for log in logs}) == len(logs)


def answered(n: int, *, right: bool) -> Answered:
    """Return an answered event."""
    return Answered(
        f"e{n}", n * 1_000_000, "1", 0.9, decision=right, truth=True, last_known=None, majority=None, vector=()
    )


def test_accuracies_are_of_the_answered_events_alone() -> None:
    """Three of four right is 75 %; a policy that never had an answer has no accuracy."""
    told = Story(tuple(answered(n, right=n > 0) for n in range(4)), (), (), rows=9, labels=4)

    report = summarise("p", told, [True, False, False, False], {}, seconds=1.0)

    assert accuracy([]) is None
    assert report.accuracy["the loop"] == 0.75
    assert report.accuracy["never retrain"] == 0.25
    assert report.accuracy["repeat the last known label"] is None


def test_the_page_stands_alone() -> None:
    """The drawn report names nothing to fetch and holds its numbers as a table too."""
    told = Story(tuple(answered(n, right=True) for n in range(3)), (), (), rows=3, labels=3)

    drawn = page([summarise("p</script>", told, [True, True, True], {"features": "00"}, seconds=1.0)])

    assert "<script src" not in drawn
    assert "<link" not in drawn
    assert "p</script>" not in drawn
    assert "100.00 %" in drawn
