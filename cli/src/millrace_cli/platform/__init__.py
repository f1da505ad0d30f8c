"""The embedded platform: Apache Kafka and Redis as child processes, from packages and verified downloads alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from millrace_cli import ports
from millrace_cli.platform import kafka, redis
from millrace_cli.programs import Program


@dataclass(frozen=True, slots=True)
class Platform:
    """Where Kafka and Redis are, and the programs to run for it: none of those that are real clusters."""

    kafka_bootstrap_servers: str
    redis_url: str
    programs: tuple[Program, ...]


def prepare(
    home: Path, *, cache: Path, kafka_bootstrap_servers: str = "", redis_url: str = "", at: Mapping[str, int]
) -> Platform:
    """Return a platform on `home`; an address that is given is used, the other server is embedded.

    `at` says on which ports: "kafka", "kafka-controller" and "redis".
    """
    programs: list[Program] = []
    logs = home.absolute() / "logs"
    if not redis_url:
        programs.append(redis.prepare(home / "redis", port=at["redis"], log=logs / "redis.log"))
        redis_url = f"redis://{ports.LOCALHOST}:{at['redis']}/0"
    if not kafka_bootstrap_servers:
        broker = kafka.prepare(
            home / "kafka",
            port=at["kafka"],
            controller_port=at["kafka-controller"],
            cache=cache,
            log=logs / "kafka.log",
        )
        programs.append(broker)
        kafka_bootstrap_servers = f"{ports.LOCALHOST}:{at['kafka']}"
    return Platform(kafka_bootstrap_servers, redis_url, tuple(programs))
