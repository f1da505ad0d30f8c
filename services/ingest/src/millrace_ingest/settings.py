"""The settings of ingest."""

from pydantic import Field

from millrace_common.settings import CommonSettings


class Settings(CommonSettings):
    """What ingest reads beside what all services read. It must answer before a sent record's own deadline passes."""

    answer_seconds_max: float = Field(10.0, gt=0, validation_alias="MILLRACE_INGEST_ANSWER_SECONDS_MAX")
