"""The embedded Kafka and Redis, for real."""

import socket
from pathlib import Path

from millrace_cli import ports
from millrace_cli.platform import kafka, prepare, redis
from millrace_cli.programs import hosted
from millrace_cli.settings import CliSettings


def test_a_platform_keeps_its_cluster_id_and_its_keys(tmp_path: Path) -> None:
    """A second start on the same folder goes on with the same cluster and the same data; an end leaves no server."""
    wanted = {name: port + 11_000 for name, port in ports.EMBEDDED.items()}
    answers, clusters = [], []
    for command in (b"SET kept 1\r\n", b"GET kept\r\n"):
        with ports.claimed(wanted) as chosen:
            platform = prepare(tmp_path, cache=CliSettings().cache, at=chosen)
            broker, store = port_of(platform.kafka_bootstrap_servers), port_of(platform.redis_url)
            with hosted(platform.programs):
                assert kafka.answers(broker)
                answers.append(redis_command(store, command))
                clusters.append(cluster_id(tmp_path))
        assert not redis.answers(store)
        assert not kafka.answers(broker)
    assert answers == [b"+OK\r\n", b"$1\r\n1\r\n"]
    assert clusters[0] == clusters[1]


def port_of(address: str) -> int:
    """Return the port of an address or URL."""
    return int(address.removesuffix("/0").rpartition(":")[2])


def cluster_id(home: Path) -> str:
    """Return the line of meta.properties that names the cluster."""
    properties = (home / "kafka" / "data" / "meta.properties").read_text()
    return next(line for line in properties.splitlines() if line.startswith("cluster.id="))


def redis_command(port: int, command: bytes) -> bytes:
    """Send one inline command and return the answer."""
    with socket.create_connection((ports.LOCALHOST, port), timeout=5) as connection:
        connection.sendall(command)
        return connection.recv(100)
