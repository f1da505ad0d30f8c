"""What the monitor reads from its environment."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from millrace_common.settings import CommonSettings


class Settings(CommonSettings):
    """The common settings: a model's watching is declared in its pipeline file, not here."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    @property
    def state(self) -> Path:
        """Return where the memory is kept."""
        return self.home.absolute() / "monitor" / "state.sqlite"
