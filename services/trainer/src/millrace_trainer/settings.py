"""The trainer's settings."""

from pathlib import Path

from pydantic import Field

from millrace_common.settings import CommonSettings


class Settings(CommonSettings):
    """`MILLRACE_TRAINER_ROWS_URL` puts the table of rows elsewhere than the home folder."""

    rows_url: str = Field("", validation_alias="MILLRACE_TRAINER_ROWS_URL")

    @property
    def rows(self) -> str:
        """Return where the table of rows lies."""
        return self.rows_url or str(self.home.absolute() / "trainer" / "rows")

    @property
    def state(self) -> Path:
        """Return the file of runs and requests."""
        return self.home.absolute() / "trainer" / "state.sqlite"
