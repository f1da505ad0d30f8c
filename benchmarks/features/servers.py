"""Kafka and Redis of a run: embedded, in a folder that goes with it, all on the load's core."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from millrace_cli import ports
from millrace_cli.platform import prepare
from millrace_cli.programs import Program, hosted
from millrace_cli.settings import CliSettings

PORTS = {**ports.EMBEDDED, "features": ports.SERVICES["features"]}
_FIRST_COMPILER_ALONE = "-XX:TieredStopAtLevel=1"
_NO_APPEND_ONLY_FILE = ("--appendonly", "no")
"""What is said last holds."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are, the port for the service's own answers, a folder for what is kept."""

    bootstrap: str
    redis_port: int
    http_port: int
    folder: Path

    def redis_url(self, database: int) -> str:
        """Return the URL of one database."""
        return f"redis://{ports.LOCALHOST}:{self.redis_port}/{database}"

    def redis(self, database: int) -> Redis:
        """Return a client of one database."""
        return Redis(host=ports.LOCALHOST, port=self.redis_port, db=database)


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both and end them with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="millrace-bench-", ignore_cleanup_errors=True) as name,
        ports.claimed({name: port + 20_000 for name, port in PORTS.items()}) as chosen,
    ):
        folder = Path(name)
        found = prepare(folder, cache=CliSettings().cache, at=chosen)
        with hosted([_at_full_speed(program) for program in found.programs]):
            yield Servers(found.kafka_bootstrap_servers, chosen["redis"], chosen["features"], folder)


def _at_full_speed(program: Program) -> Program:
    """Take back what the embedded servers do for a laptop's sake.

    The broker gets both compilers, for it starts with the first alone, which is slower under load. Redis keeps no
    append-only file, as it is shipped: what it holds for any of those measured is made again from Kafka.
    """
    command = tuple(word for word in program.command if word != _FIRST_COMPILER_ALONE)
    if program.name == "redis":
        command += _NO_APPEND_ONLY_FILE
    return dataclasses.replace(program, command=command)
