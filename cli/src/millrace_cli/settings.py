"""The settings of the command; the only place in it that reads the environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from millrace_common.settings import CommonSettings


class CliSettings(CommonSettings):
    """What the command reads. An empty address of Kafka or Redis means the embedded one."""

    kafka_bootstrap_servers: str = Field(default="", validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    redis_url: str = Field(default="", validation_alias="REDIS_URL")
    xdg_cache_home: Path = Field(default=Path("~/.cache"), validation_alias="XDG_CACHE_HOME")

    @property
    def cache(self) -> Path:
        """Return the download cache, shared by all homes of a user."""
        return self.xdg_cache_home.expanduser() / "millrace"


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: this process's, with `changes`."""
    return {**os.environ, **changes}
