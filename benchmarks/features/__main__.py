"""Measure the features service beside its peers, keep every repeat, write the tables: `python -m benchmarks.features`.

--quick           a look of a few minutes: fewer events, no repeats, nothing written
--parts A,B       of throughput, sweeps, freshness, reading, restart, profile; the others stay as they were measured
--results FILE    where the figures lie (benchmarks/results/features.json)
--provisional     say in the results that the machine was not quiet
--tables          only write the tables of docs/performance.md from the results
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.features import machine, tables
from benchmarks.features.parts import PARTS, warm
from benchmarks.features.servers import servers
from benchmarks.features.sizes import QUICK, WHOLE

RESULTS = machine.ROOT / "benchmarks" / "results" / "features.json"
PAGE = machine.ROOT / "docs" / "performance.md"


def parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--quick", action="store_true")
    found.add_argument("--parts", default="")
    found.add_argument("--results", type=Path, default=RESULTS)
    found.add_argument("--provisional", action="store_true")
    found.add_argument("--tables", action="store_true")
    return found


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Measure the parts on servers of their own; a part that is done is kept at once."""
    sizes = QUICK if given.quick else WHOLE
    parts = [part for part in given.parts.split(",") if part] or sizes.parts
    found: dict[str, object] = json.loads(given.results.read_text()) if given.results.exists() else {}
    if given.quick:
        found = {}
    with servers() as at:
        warm(at, sizes)
        for name in parts:
            started = time.monotonic()
            print(f"{name}: begins", flush=True)
            data = PARTS[name](at, sizes, found)
            found[name] = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "commit": machine.commit(),
                "provisional": given.provisional or given.quick,
                "command": " ".join(("python -m benchmarks.features", *sys.argv[1:])),
                "seconds": round(time.monotonic() - started, 1),
                "machine": machine.facts(),
                "versions": machine.versions(),
                "sizes": asdict(sizes),
                "data": data,
            }
            print(f"{name}: {found[name]['seconds']} s\n{tables.TABLES[name](found)}", flush=True)  # type: ignore[index]  # it was set above
            if not given.quick:
                keep(found, given.results)
    return found


def keep(found: dict[str, object], path: Path) -> None:
    """Write the results."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Measure and write what was asked."""
    given = parser().parse_args()
    if not given.tables:
        machine.keep_to_load_core()
        measure(given)
    if not given.quick and given.results == RESULTS:
        PAGE.write_text(tables.placed(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
