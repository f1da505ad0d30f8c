"""A real Kafka and a real Redis for the tests: those of the environment, or embedded ones for the session."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.online import Store, opened

from millrace_cli import ports
from millrace_cli.platform import Platform, prepare
from millrace_cli.programs import hosted
from millrace_cli.settings import CliSettings

PREFIXES = itertools.count(1)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Kafka and Redis, ready; embedded ones end with the session."""
    settings = CliSettings()
    home: Path = tmp_path_factory.mktemp("platform")
    with ports.claimed({name: port + 10_000 for name, port in ports.EMBEDDED.items()}) as chosen:
        platform = prepare(
            home,
            cache=settings.cache,
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
            redis_url=settings.redis_url,
            at=chosen,
        )
        with hosted(platform.programs):
            yield platform


@pytest.fixture(scope="session")
def kafka_bootstrap(platform: Platform) -> str:
    """Addresses of a Kafka whose topics tests may create under a prefix of their own."""
    return platform.kafka_bootstrap_servers


@pytest.fixture(scope="session")
def redis_url(platform: Platform) -> str:
    """The URL of a Redis; tests use keys or a database number of their own."""
    return platform.redis_url


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topic and group names that no other test of any running session uses."""
    return f"t{os.getpid()}-{next(PREFIXES)}."


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    """An online store: its twin in memory, which needs no Redis to be started, and a real one."""
    kind = str(request.param)
    return opened(kind, request.getfixturevalue("redis_url") if kind == "redis" else "")
