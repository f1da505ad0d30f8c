"""The settings that all services share; a service's own extend them. Nothing else reads the environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _failpoints(value: object) -> object:
    if not isinstance(value, str):
        return value
    return dict(_failpoint(part) for part in value.split(",") if part)


def _failpoint(part: str) -> tuple[str, str]:
    name, colon, times = part.partition(":")
    if not colon:
        raise ValueError(f"{part!r} is not place:pass, such as published:7")
    return name, times


class CommonSettings(BaseSettings):
    """What every service reads. `KAFKA_BOOTSTRAP_SERVERS` and `REDIS_URL` bear their usual names."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    kafka_bootstrap_servers: str = Field(default="127.0.0.1:17192", validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    redis_url: str = Field(default="redis://127.0.0.1:17179/0", validation_alias="REDIS_URL")
    pipelines: str = ""
    home: Path = Path(".millrace")
    topic_prefix: str = ""
    partitions: int = Field(default=4, ge=1, le=1_000)
    artifacts_url: str = ""
    instance: str = "0"
    http_host: str = "127.0.0.1"
    http_port: int = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    batch_records_max: int = Field(default=5_000, ge=1)
    send_seconds_max: float = Field(default=30.0, gt=0)
    stall_seconds_max: float = Field(default=60.0, gt=0)
    failpoints: Annotated[dict[str, int], NoDecode, BeforeValidator(_failpoints)] = {}
    """`published:7,applied:1,committing:2`: die at the nth pass of the place."""
    failpoints_folder: Path | None = None
    """A file `<service>/<place>` in it is removed at the service's next pass of the place; the process dies there."""

    @property
    def artifacts(self) -> str:
        """Return the URL of the artifact store, in the home folder unless set."""
        return self.artifacts_url or (self.home.absolute() / "artifacts").as_uri()
