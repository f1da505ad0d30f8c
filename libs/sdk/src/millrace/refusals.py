"""How an event that breaks its contract is refused: the same error becomes ingest's 422 and a dead letter."""


class Refused(Exception):
    """A message broke its contract. `reason` is a stable code, `field` the place, the text says what to mend."""

    def __init__(self, reason: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if field is None else f"{reason}: {field}: {detail}")
        self.reason = reason
        self.detail = detail
        self.field = field


class Parked(Exception):
    """A message states a newer version than the deployed one: set it aside until the upgrade."""
