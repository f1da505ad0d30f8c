"""What the harness tells a peer."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Where Kafka and Redis are, the prefix of the topics, how large a row of the raw loop is, a folder for state."""

    bootstrap: str
    prefix: str
    redis_port: int
    database: int
    row_bytes: int
    folder: str
    variant: str

    @property
    def source(self) -> str:
        """Return the topic of events."""
        return self.prefix + "raw-data"

    @property
    def target(self) -> str:
        """Return the topic of rows."""
        return self.prefix + "features"


def options() -> Options:
    """Return what stands on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--database", type=int, required=True)
    parser.add_argument("--row-bytes", type=int, default=500)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--variant", default="")
    return Options(**vars(parser.parse_args()))
