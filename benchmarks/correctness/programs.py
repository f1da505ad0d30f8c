"""The compared processes as programs: the service with the job's own pipeline, and its peers."""

import dataclasses
from dataclasses import dataclass

from benchmarks.features import programs
from benchmarks.features.programs import Place

from millrace_cli.programs import Program
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
        if self.is_ours:
            return _millrace(place)
        return programs.driver(self.name, place, (self.environment, f"benchmarks.correctness.drivers.{self.module}"))


DRIVERS = (
    Driver("millrace", KafkaOptions("").group("features")),
    Driver("quix", "quix", "quix", "quix_sliding"),
    Driver("faust", "faust", "faust", "faust_tables", share=0.2),
)


def _millrace(place: Place) -> Program:
    """Return the features service as the other benchmarks run it, with the job's own pipeline."""
    program = programs.millrace(place, "BASE")
    return dataclasses.replace(program, environment={**program.environment, "MILLRACE_PIPELINES": DECLARED})
