"""The embedded Kafka and Redis, for real."""

import socket
from pathlib import Path

from millrace_cli import ports
from millrace_cli.platform import kafka, prepare, redis
from millrace_cli.programs import running
from millrace_cli.settings import CliSettings


def test_a_platform_keeps_its_cluster_id_and_its_keys(tmp_path: Path) -> None:
    """A second start on the same folder goes on with the same cluster and the same data."""
    wanted = {name: port + 11_000 for name, port in ports.EMBEDDED.items()}
    identity = []
    for command in (b"SET kept 1\r\n", b"GET kept\r\n"):
        platform = prepare(tmp_path, cache=CliSettings().cache, wanted=wanted)
        with running(platform.programs):
            redis_program, kafka_program = platform.programs
            assert redis_program.port is not None
            assert kafka_program.port is not None
            assert redis.answers(redis_program.port)
            assert kafka.answers(kafka_program.port)
            answer = redis_command(redis_program.port, command)
            identity.append((tmp_path / "kafka" / "data" / "meta.properties").read_text())
    assert answer == b"$1\r\n1\r\n"
    assert cluster_id(identity[0]) == cluster_id(identity[1])
    assert not redis.answers(redis_program.port)
    assert not kafka.answers(kafka_program.port)


def cluster_id(properties: str) -> str:
    """Return the line of meta.properties that names the cluster."""
    return next(line for line in properties.splitlines() if line.startswith("cluster.id="))


def redis_command(port: int, command: bytes) -> bytes:
    """Send one inline command and return the answer."""
    with socket.create_connection((ports.LOCALHOST, port), timeout=5) as connection:
        connection.sendall(command)
        return connection.recv(100)
