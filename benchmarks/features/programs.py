"""The measured processes as programs: the service with the environment that `up` gives it, and its peers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
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


def host_alone(place: Place, pipeline: str) -> Program:
    """Return the service with a handler in it that computes nothing."""
    module = "benchmarks.features.drivers.host_alone"
    return replace(millrace(place, pipeline), command=measured((sys.executable, "-m", module)))


OURS = MappingProxyType({"millrace": millrace, "host": host_alone})


def peer(name: str, place: Place, *, row_bytes: int = ROW_BYTES) -> Program:
    """Return a peer in its own environment."""
    chosen = PEERS[name]
    words = {"--row-bytes": str(row_bytes), "--variant": chosen.variant}
    of = driver(name, place, (chosen.environment, f"benchmarks.features.drivers.{chosen.module}"), words)
    return replace(of, command=measured(of.command))


def driver(name: str, place: Place, module: tuple[str, str], more: Mapping[str, str] = MappingProxyType({})) -> Program:
    """Return a module (its environment, its name) as the program of a place; it takes `more` words than its place."""
    servers, (environment, path) = place.servers, module
    words = {
        "--bootstrap": servers.bootstrap,
        "--prefix": place.prefix,
        "--redis-port": str(servers.redis_port),
        "--database": str(place.database),
        "--folder": str(servers.folder / f"{place.prefix}state"),
        **more,
    }
    python = ROOT / ".bench" / environment / "bin" / "python"
    return Program(
        name=name,
        command=(str(python), "-m", path, *(word for pair in words.items() for word in pair)),
        environment=environment_with({"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}),
        log=servers.folder / "logs" / f"{place.prefix}{name}.log",
        folder=ROOT,
    )


def program(name: str, place: Place, pipeline: str, *, row_bytes: int = ROW_BYTES) -> Program:
    """Return what runs under a name."""
    made = OURS.get(name)
    return peer(name, place, row_bytes=row_bytes) if made is None else made(place, pipeline)
