"""The settings of features, `MILLRACE_FEATURES_*`."""

from pydantic import Field

from millrace_common.settings import CommonSettings

ENTITIES_MAX = 200_000


class Settings(CommonSettings):
    """What features reads beside the common settings."""

    features_cache_entities_max: int = Field(ENTITIES_MAX, ge=1)
    """Entities cached of each entity type and partition."""
    features_redis_seconds_max: float = Field(30.0, gt=0)
    """How long a Redis that is gone is tried again before the process ends."""
