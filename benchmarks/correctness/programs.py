"""The compared processes as programs: the service with the job's own pipeline, and its peers."""

import dataclasses
from dataclasses import dataclass

from benchmarks.features import programs
from benchmarks.features.machine import ROOT
from benchmarks.features.programs import Place

from millrace_cli.programs import Program
from millrace_cli.settings import environment_with
from millrace_common.bus.options import KafkaOptions

DECLARED = "benchmarks.correctness.declared:PIPELINE"


@dataclass(frozen=True, slots=True)
class Driver:
    """A program, and its consumer group behind the prefix of a run."""

    name: str
    group: str
    environment: str = ""
    module: str = ""
    share: float = 1.0
    """The part of the events, and of the cards, that it gets where it is too slow for all of them."""

    @property
    def is_ours(self) -> bool:
        """Say whether it is the features service."""
        return not self.module

    def program(self, place: Place) -> Program:
        """Return the program of a run."""
        return _millrace(place) if self.is_ours else _peer(self, place)


DRIVERS = (
    Driver("millrace", KafkaOptions("").group("features")),
    Driver("quix", "quix", "quix", "quix_sliding"),
    Driver("faust", "faust", "faust", "faust_tables", share=0.2),
)


def _millrace(place: Place) -> Program:
    """Return the features service as the other benchmarks run it, with the job's own pipeline."""
    program = programs.millrace(place, "BASE")
    return dataclasses.replace(program, environment={**program.environment, "MILLRACE_PIPELINES": DECLARED})


def _peer(driver: Driver, place: Place) -> Program:
    servers = place.servers
    words = {
        "--bootstrap": servers.bootstrap,
        "--prefix": place.prefix,
        "--redis-port": str(servers.redis_port),
        "--database": str(place.database),
        "--folder": str(servers.folder / f"{place.prefix}state"),
    }
    python = ROOT / ".bench" / driver.environment / "bin" / "python"
    command = (str(python), "-m", f"benchmarks.correctness.drivers.{driver.module}")
    return Program(
        name=driver.name,
        command=(*command, *(word for pair in words.items() for word in pair)),
        environment=environment_with({"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}),
        log=servers.folder / "logs" / f"{place.prefix}{driver.name}.log",
        folder=ROOT,
    )
