"""What the demo sees of the platform at one moment, and the story it comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from millrace_cli import api
from millrace_cli.commands.status import report_of
from millrace_cli.home import Home
from millrace_common.errors import Refused, Unavailable
from millrace_common.messages.alert import Loop
from millrace_monitor.core.status import ModelStatus, Status, WindowStatus

RECOVERED_LABELS_MIN = 1_000
RECOVERED_SHARE_MIN = 0.5
"""Of the accuracy that was lost, so much must be back."""


class Said(msgspec.Struct, frozen=True):
    """The parts of an alert that the demo shows."""

    at_us: int
    kind: str
    state: str
    severity: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at the platform."""

    model: ModelStatus | None = None
    alerts: Sequence[Said] = ()
    lag: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, str] = field(default_factory=dict)

    @property
    def loop(self) -> Loop | None:
        """Return the first loop that closed."""
        return self.model.loops[0] if self.model is not None and self.model.loops else None


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Accuracy on late labels before the change, from it to the new version, and by the new version."""

    before: float | None
    during: float | None
    after: float | None
    after_n: int

    @property
    def has_recovered(self) -> bool:
        """Say whether accuracy fell and enough of it came back, on enough labels."""
        if self.before is None or self.during is None or self.after is None:
            return False
        lost, won = self.before - self.during, self.after - self.during
        return lost > 0 and won >= RECOVERED_SHARE_MIN * lost and self.after_n >= RECOVERED_LABELS_MIN


def look(home: Home, model: str) -> Scene:
    """Look at the platform; what does not answer at the moment is left out."""
    report = report_of(home)
    lag: dict[str, int] = {}
    for process in report.processes:
        for topic, behind in process.lag.items():
            lag[topic] = max(lag.get(topic, 0), behind)
    processes = {process.name: process.state for process in report.processes}
    try:
        monitor = api.of(home, "monitor", seconds_max=5.0)
        status = msgspec.convert(monitor.get("/v1/status"), Status)
        alerts = msgspec.convert(monitor.get("/v1/alerts"), list[Said])
    except (Unavailable, Refused):
        return Scene(None, (), lag, processes)
    watched = next((one for one in status.models if one.model == model), None)
    return Scene(watched, [said for said in alerts if said.model == model], lag, processes)


def accuracies(windows: Sequence[WindowStatus], loop: Loop, *, changed_us: int) -> Accuracies:
    """Return the accuracies around a change in event time; a window that straddles it counts to neither side."""
    before = [w for w in windows if w.version == loop.from_version and w.end_us <= changed_us]
    during = [w for w in windows if w.version == loop.from_version and w.start_us >= changed_us]
    after = [w for w in windows if w.version == loop.to_version]
    return Accuracies(_mean(before), _mean(during), _mean(after), sum(w.n for w in after))


def _mean(windows: Sequence[WindowStatus]) -> float | None:
    n = sum(window.n for window in windows)
    return sum(window.accuracy * window.n for window in windows) / n if n else None
