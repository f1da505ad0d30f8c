"""An incident: what is wrong with one version, from the alert that opens it to the one that closes it."""

from typing import Literal

import msgspec

CALM_CUTS = 3
Severity = Literal["info", "warning", "error", "fatal"]
IncidentKind = Literal["drift", "quality", "performance", "serving", "retrain"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "fatal")


class Incident(msgspec.Struct):
    """One thing that is wrong. `revision` counts what was said of it; `calm` the good readings in a row."""

    incident_id: str
    kind: IncidentKind
    subject: str
    version: str
    digest: str
    severity: Severity
    opened_us: int
    labelled_at_change: int
    changed_us: int | None = None
    revision: int = 0
    calm: int = 0
    last_alert_id: str | None = None

    def reads(self, *, is_calm: bool) -> bool:
        """Take one more reading; say whether the incident is over: three calm ones in a row."""
        self.calm = self.calm + 1 if is_calm else 0
        return self.calm >= CALM_CUTS

    def rises(self, severity: Severity) -> bool:
        """Take a severity; say whether it is worse than any before."""
        if SEVERITIES.index(severity) <= SEVERITIES.index(self.severity):
            return False
        self.severity = severity
        return True
