"""Hold the rows of Millrace, Faust and Quix Streams against exact windows: `python -m benchmarks.correctness`.

--events N        payments of each stream (100,000); --cards N (1,000); Faust gets a fifth of both: it is too slow
--streams A,B     of those in `streams`; --drivers A,B of millrace, quix, faust; the others stay as they were found
--kills N         how often a driver is killed at most (5)
--results FILE    where the figures lie (benchmarks/results/peers_correctness.json)
--tables          only write the tables of docs/correctness.md from the results
"""

import argparse
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.correctness import tables
from benchmarks.correctness.exact import by_rule, exact
from benchmarks.correctness.judging import judged, own_rows, peer_rows
from benchmarks.correctness.programs import DECLARED, DRIVERS, Driver
from benchmarks.correctness.runs import Ran, ran
from benchmarks.correctness.streams import STREAMS, sent
from benchmarks.features import machine
from benchmarks.features.servers import servers

from millrace.loading import load

RESULTS = machine.ROOT / "benchmarks" / "results" / "peers_correctness.json"
PAGE = machine.ROOT / "docs" / "correctness.md"
SECONDS_MAX = 1_800.0


def parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--events", type=int, default=100_000)
    found.add_argument("--cards", type=int, default=1_000)
    found.add_argument("--kills", type=int, default=5)
    found.add_argument("--streams", default=",".join(stream.name for stream in STREAMS))
    found.add_argument("--drivers", default=",".join(driver.name for driver in DRIVERS))
    found.add_argument("--results", type=Path, default=RESULTS)
    found.add_argument("--tables", action="store_true")
    return found


def measure(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """Run the drivers on the streams; keep what was found of each at once."""
    now_ms = time.time_ns() // 1_000_000
    with servers() as at:
        for stream in [stream for stream in STREAMS if stream.name in given.streams.split(",")]:
            of_stream = found.setdefault("streams", {}).setdefault(stream.name, {"drivers": {}})
            for driver in [driver for driver in DRIVERS if driver.name in given.drivers.split(",")]:
                kills, cards = given.kills if stream.killed else 0, int(given.cards * driver.share)
                events = sent(stream, events=int(given.events * driver.share), cards=cards, now_ms=now_ms)
                done = ran(at, driver, events, kills_max=kills, seconds_max=SECONDS_MAX)
                of_stream["drivers"][driver.name] = {**_facts(given), "cards": cards, **_found(driver, done)}
                given.results.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{stream.name}, {driver.name}: {done.seconds:.0f} s, {done.kills} kills", flush=True)


def _facts(given: argparse.Namespace) -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "command": f"python -m {__package__} --events {given.events} --cards {given.cards} --kills {given.kills}",
        "machine": machine.facts(),
        "versions": machine.versions(),
    }


def _found(driver: Driver, done: Ran) -> dict[str, object]:
    true = exact(done.raw)
    rows = own_rows(done.features) if driver.is_ours else peer_rows(done.features)
    readings = {reading: judged(of_reading, true) for reading, of_reading in rows.items()}
    if driver.is_ours:
        (own,) = rows.values()
        readings["rule"] = judged(own, by_rule(done.raw, load([DECLARED])), tolerance=0.0)
    return {
        "records": sum(map(len, done.raw)),
        "seconds": round(done.seconds, 1),
        "kills": done.kills,
        "readings": {reading: asdict(of_reading) for reading, of_reading in readings.items()},
    }


def main() -> None:
    """Measure and write what was asked."""
    given = parser().parse_args()
    found: dict[str, Any] = json.loads(given.results.read_text()) if given.results.exists() else {}
    if not given.tables:
        measure(given, found)
    print(tables.tables(found))
    if given.results == RESULTS:
        PAGE.write_text(tables.placed(PAGE.read_text(), found))


if __name__ == "__main__":
    main()
