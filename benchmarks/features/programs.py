"""The measured processes as programs: the service with the environment that `up` gives it, and its peers."""

import sys
from dataclasses import dataclass
from typing import Literal

from benchmarks.features.machine import ROOT, measured
from benchmarks.features.servers import Servers

from millrace_cli import api, ports
from millrace_cli.programs import Program
from millrace_cli.settings import environment_with

DECLARED = "benchmarks.features.declared"
Name = Literal["millrace", "faust", "quix", "quix-sliding", "raw"]
ROW_BYTES = 900
"""How large a row of the raw loop is, before one of ours was measured."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Which environment and module a peer is."""

    environment: str
    module: str
    variant: str = ""


PEERS = {
    "faust": Peer("faust", "faust_plain"),
    "quix": Peer("quix", "quix_windows", "tumbling"),
    "quix-sliding": Peer("quix", "quix_windows", "sliding"),
    "raw": Peer("faust", "raw_loop"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run reads and writes: its prefix and its database of Redis."""

    servers: Servers
    prefix: str
    database: int = 0


def millrace(place: Place, pipeline: str) -> Program:
    """Return the features service on a pipeline of `declared`, ready when it says so."""
    servers = place.servers
    url = f"http://{ports.LOCALHOST}:{servers.http_port}"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap,
        "REDIS_URL": servers.redis_url(place.database),
        "MILLRACE_PIPELINES": f"{DECLARED}:{pipeline}",
        "MILLRACE_HOME": str(servers.folder),
        "MILLRACE_TOPIC_PREFIX": place.prefix,
        "MILLRACE_HTTP_HOST": ports.LOCALHOST,
        "MILLRACE_HTTP_PORT": str(servers.http_port),
        "MILLRACE_FEATURES_CACHE_ENTITIES_MAX": "1000000",
        "PYTHONUNBUFFERED": "1",
    }
    return Program(
        name="millrace",
        command=measured((sys.executable, "-m", "millrace_features")),
        environment=environment_with(environment),
        log=servers.folder / "logs" / f"{place.prefix}millrace.log",
        folder=ROOT,
        is_ready=lambda: api.is_ready(url),
    )


def peer(name: str, place: Place, *, row_bytes: int = ROW_BYTES) -> Program:
    """Return a peer in its own environment."""
    chosen, servers = PEERS[name], place.servers
    state = servers.folder / f"{place.prefix}state"
    words = {
        "--bootstrap": servers.bootstrap,
        "--prefix": place.prefix,
        "--redis-port": str(servers.redis_port),
        "--database": str(place.database),
        "--row-bytes": str(row_bytes),
        "--folder": str(state),
        "--variant": chosen.variant,
    }
    python = ROOT / ".bench" / chosen.environment / "bin" / "python"
    command = (str(python), "-m", f"benchmarks.features.drivers.{chosen.module}")
    return Program(
        name=name,
        command=measured((*command, *(word for pair in words.items() for word in pair))),
        environment=environment_with({"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}),
        log=servers.folder / "logs" / f"{place.prefix}{name}.log",
        folder=ROOT,
    )


def program(name: str, place: Place, pipeline: str, *, row_bytes: int = ROW_BYTES) -> Program:
    """Return what runs under a name."""
    return millrace(place, pipeline) if name == "millrace" else peer(name, place, row_bytes=row_bytes)
