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
    home: Path, *, cache: Path, kafka_bootstrap_servers: str = "", redis_url: str = "", wanted: Mapping[str, int]
) -> Platform:
    """Return a platform on `home`; an address that is given is used, the other server is embedded.

    `wanted` names the ports to try first: "kafka", "kafka-controller" and "redis".
    """
    chosen = ports.choose(wanted)
    programs: list[Program] = []
    logs = home.absolute() / "logs"
    if not redis_url:
        programs.append(redis.prepare(home / "redis", port=chosen["redis"], log=logs / "redis.log"))
        redis_url = f"redis://{ports.LOCALHOST}:{chosen['redis']}/0"
    if not kafka_bootstrap_servers:
        broker = kafka.prepare(
            home / "kafka",
            port=chosen["kafka"],
            controller_port=chosen["kafka-controller"],
            cache=cache,
            log=logs / "kafka.log",
        )
        programs.append(broker)
        kafka_bootstrap_servers = f"{ports.LOCALHOST}:{chosen['kafka']}"
    return Platform(kafka_bootstrap_servers, redis_url, tuple(programs))
