"""Serving's own settings."""

from pathlib import Path

from pydantic import Field

from millrace_common.settings import CommonSettings


class Settings(CommonSettings):
    """What serving reads beside the common settings."""

    serving_spool_bytes_max: int = Field(256 << 20, ge=1 << 20)
    """Answers waiting for the broker; past it requests are refused with 503."""
    serving_online_milliseconds_max: int = Field(50, ge=1)
    """How long a request waits for its features."""
    serving_requests_max: int = Field(1_024, ge=1)
    """Requests in flight; past it 503."""

    @property
    def spool(self) -> Path:
        """Return the folder of the spool."""
        return self.home / "serving" / self.instance / "spool"
