"""An incident: what is wrong with one version, from the alert that opens it to the one that closes it."""

from typing import Literal

import msgspec

CALM_WINDOWS = 3
CALM_LABELS = 150
Severity = Literal["info", "warning", "error", "fatal"]
IncidentKind = Literal["drift", "quality", "performance", "serving", "retrain"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "fatal")


class Incident(msgspec.Struct):
    """One thing that is wrong. `calm` counts the good readings in a row: windows, or labels."""

    incident_id: str
    kind: IncidentKind
    subject: str
    version: str
    digest: str
    severity: Severity
    opened_us: int
    labelled_at_change: int
    labelled_since: int = 0
    changed_us: int | None = None
    calm: int = 0

    def reads(self, *, is_calm: bool, readings: int = 1, enough: int = CALM_WINDOWS) -> bool:
        """Take more readings; say whether the incident is over: enough calm ones in a row."""
        self.calm = self.calm + readings if is_calm else 0
        return self.calm >= enough

    def rises(self, severity: Severity) -> bool:
        """Take a severity; say whether it is worse than any before."""
        if SEVERITIES.index(severity) <= SEVERITIES.index(self.severity):
            return False
        self.severity = severity
        return True
