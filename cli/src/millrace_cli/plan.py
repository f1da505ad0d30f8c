"""What `up` runs: the stages of a home, from settings, free ports and a deployment."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.loading import PipelineMistakes, load
from millrace.spec import Deployment
from millrace_cli import api, platform, ports
from millrace_cli.home import MARK, Endpoints, Home
from millrace_cli.programs import Program
from millrace_cli.settings import CliSettings, environment_with
from millrace_cli.supervisor import Stage
from millrace_common import topics
from millrace_common.bus import admin
from millrace_common.errors import Misconfigured

SERVICE_READY_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages to run and where their programs will be reached."""

    stages: tuple[Stage, ...]
    endpoints: Endpoints


def specs(given: Sequence[str], settings: CliSettings, kept: Endpoints | None) -> tuple[str, ...]:
    """Return the pipelines to run: those given, else MILLRACE_PIPELINES, else those this home ran before."""
    stated = tuple(given) or tuple(filter(None, (part.strip() for part in settings.pipelines.split(","))))
    found = stated or (kept.pipelines if kept is not None else ())
    if not found:
        raise Misconfigured("no pipeline: name one, as in `millrace up pipelines.fraud:PIPELINE`")
    return found


def deployment_of(pipelines: Sequence[str]) -> Deployment:
    """Load the pipelines; Misconfigured with every mistake and its line."""
    try:
        return load(pipelines)
    except PipelineMistakes as mistakes:
        raise Misconfigured(str(mistakes)) from mistakes


def wanted_ports(home: Home) -> dict[str, int]:
    """Return the port that each program had on `home`, else its usual one."""
    kept = home.endpoints()
    return {**ports.EMBEDDED, **ports.SERVICES, **(kept.ports if kept is not None else {})}


def of_home(home: Home, pipelines: Sequence[str], settings: CliSettings, chosen: Mapping[str, int]) -> Plan:
    """Return what to run on `home` at the `chosen` ports. Fetches and formats what the embedded servers need."""
    kept = home.endpoints()
    chosen_pipelines = specs(pipelines, settings, kept)
    deployment = deployment_of(chosen_pipelines)
    servers = platform.prepare(
        home.folder,
        cache=settings.cache,
        kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
        redis_url=settings.redis_url,
        at=chosen,
    )
    endpoints = Endpoints(
        servers.kafka_bootstrap_servers,
        servers.redis_url,
        services={name: f"http://{ports.LOCALHOST}:{chosen[name]}" for name in ports.SERVICES},
        ports=dict(chosen),
        pipelines=chosen_pipelines,
        topic_prefix=settings.topic_prefix or (kept.topic_prefix if kept is not None else ""),
    )

    def create_topics() -> None:
        asyncio.run(
            admin.create_topics(
                endpoints.kafka_bootstrap_servers,
                topics.of_deployment(deployment.repartitioned),
                prefix=endpoints.topic_prefix,
                partitions=settings.partitions,
            )
        )

    stages = (Stage(servers.programs), Stage(service_programs(home, endpoints), prepare=create_topics))
    return Plan(stages, endpoints)


def service_programs(home: Home, endpoints: Endpoints) -> tuple[Program, ...]:
    """Return the six services as programs."""
    shared = {
        MARK: str(home.folder.absolute()),
        "KAFKA_BOOTSTRAP_SERVERS": endpoints.kafka_bootstrap_servers,
        "REDIS_URL": endpoints.redis_url,
        "MILLRACE_PIPELINES": ",".join(endpoints.pipelines),
        "MILLRACE_HOME": str(home.folder.absolute()),
        "MILLRACE_TOPIC_PREFIX": endpoints.topic_prefix,
        "MILLRACE_HTTP_HOST": ports.LOCALHOST,
        "PYTHONUNBUFFERED": "1",
    }
    return tuple(_service(name, url, home.log(name), shared) for name, url in endpoints.services.items())


def _service(name: str, url: str, log: Path, shared: Mapping[str, str]) -> Program:
    port = int(url.rpartition(":")[2])
    return Program(
        name=name,
        command=(sys.executable, "-m", f"millrace_{name}"),
        environment=environment_with({**shared, "MILLRACE_HTTP_PORT": str(port)}),
        log=log.absolute(),
        port=port,
        is_ready=lambda: api.is_ready(url),
        ready_seconds_max=SERVICE_READY_SECONDS_MAX,
    )
