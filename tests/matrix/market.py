"""Rows of a market as events, and how often a label is the price against its mean of the day before."""

import csv
import json
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from millrace_common.codec import decode
from millrace_common.messages import FeatureRow
from millrace_common.records import Outgoing, Record

ROOT = Path(__file__).parents[2]
FIRST_MS = 831_427_200_000
"""7 May 1996."""
HALF_HOUR_MS = 1_800_000
DAY_ROWS = 48
MARKET = "nsw"
NUMBERS = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


class Agreement(NamedTuple):
    """Of the rows after the first day, how many have a feature row, and in how many the label agrees."""

    rows: int
    agree: int

    @property
    def share(self) -> float:
        """Return the share that agrees."""
        return self.agree / self.rows


def whole_file() -> Path:
    """Return where Electricity lies; skip the test where it is not there."""
    file = Path(os.environ.get("MILLRACE_ELEC2", ROOT.parent / "shared" / "data" / "elec2.csv"))
    if not file.exists():
        pytest.skip(f"Electricity is not at {file}: name its file by MILLRACE_ELEC2")
    return file


def read(file: Path) -> list[dict[str, float]]:
    """Return the rows of a file of Elec2's columns."""
    with file.open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def events(rows: Iterable[dict[str, float]]) -> list[Outgoing]:
    """Return a market row for each, half an hour apart."""
    found = []
    for i, row in enumerate(rows):
        fields = {name: row[name] for name in NUMBERS}
        value = {"row": i, "market": MARKET, "ts": FIRST_MS + i * HALF_HOUR_MS, **fields}
        headers = (("ce_type", b"market_row"),)
        found.append(Outgoing("raw-data", MARKET.encode(), json.dumps(value).encode(), headers))
    return found


def agreement(rows: Sequence[dict[str, float]], features: Iterable[Record]) -> Agreement:
    """Hold the label of each row after the first day against its feature row, both sides as float32."""
    agree = n = 0
    for message in map(decode, features):
        if not isinstance(message, FeatureRow) or int(message.event_id) < DAY_ROWS:
            continue
        (values,) = message.groups.values()
        mean, row = values["mean_24h"], rows[int(message.event_id)]
        assert isinstance(mean, float)
        n += 1
        agree += (_single(row["nswprice"]) > mean) == (row["class"] == 1)
    return Agreement(n, agree)


def of_last(rows: Sequence[dict[str, float]], before: int, *, current: bool = False) -> Agreement:
    """Return the same for a mean over another number of rows before, or as many that end with the row itself."""
    prices, agree = [row["nswprice"] for row in rows], 0
    for i in range(DAY_ROWS, len(rows)):
        end = i + current
        window = prices[max(end - before, 0) : end]
        agree += (prices[i] > sum(window) / len(window)) == (rows[i]["class"] == 1)
    return Agreement(len(rows) - DAY_ROWS, agree)


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
