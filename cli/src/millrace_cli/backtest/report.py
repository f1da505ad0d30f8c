"""A backtest's result: numbers for programs, tables for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from millrace_cli.backtest.accounts import Answered, Story, accuracy

CURVE_POINTS_MAX = 300


@dataclass(frozen=True, slots=True)
class Version:
    """One step of the model's rollouts, with its reason."""

    at_us: int
    version: str
    from_state: str
    to_state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Said:
    """One alert."""

    at_us: int
    kind: str
    state: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy of one stretch of answers."""

    at_us: int
    loop: float
    never_retrain: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a backtest of one model came to. Accuracies are shares of the answered events whose truth is known."""

    pipeline: str
    rows: int
    labels: int
    answered: int
    accuracy: dict[str, float | None]
    versions: tuple[Version, ...]
    alerts: tuple[Said, ...]
    curve: tuple[CurvePoint, ...]
    digests: dict[str, str]
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)


def summarise(
    name: str, told: Story, never_retrain: Sequence[bool], digests: dict[str, str], *, seconds: float
) -> Report:
    """Return the report of a story; `never_retrain` are the first version's decisions on the answered events."""
    right = [a.decision == a.truth for a in told.answered]
    frozen = [decision == a.truth for decision, a in zip(never_retrain, told.answered, strict=True)]
    return Report(
        pipeline=name,
        rows=told.rows,
        labels=told.labels,
        answered=len(right),
        accuracy={
            "the loop": accuracy(right),
            "never retrain": accuracy(frozen),
            "repeat the last known label": accuracy(
                [a.last_known == a.truth for a in told.answered if a.last_known is not None]
            ),
            "majority of the known labels": accuracy(
                [a.majority == a.truth for a in told.answered if a.majority is not None]
            ),
        },
        versions=tuple(Version(p.at_us, p.version, p.from_state, p.to_state, p.reason.text) for p in told.promotions),
        alerts=tuple(Said(a.at_us, a.kind, a.state, a.severity, _text(a.subject, a.retrain)) for a in told.alerts),
        curve=_curve(told.answered, right, frozen),
        digests=digests,
        seconds=round(seconds, 1),
    )


def _text(subject: object, retrain: object) -> str:
    if retrain is not None:
        return str(getattr(retrain, "reason", ""))
    return str(getattr(subject, "name", ""))


def _curve(answered: Sequence[Answered], right: Sequence[bool], frozen: Sequence[bool]) -> tuple[CurvePoint, ...]:
    stretch = max(1, len(answered) // CURVE_POINTS_MAX)
    return tuple(
        CurvePoint(
            answered[i].time_us,
            round(sum(right[i : i + stretch]) / len(right[i : i + stretch]), 4),
            round(sum(frozen[i : i + stretch]) / len(frozen[i : i + stretch]), 4),
        )
        for i in range(0, len(answered), stretch)
    )


def when(at_us: int) -> str:
    """Return a time for people.

    >>> when(0)
    '1970-01-01 00:00:00'
    """
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def show(report: Report, console: Console) -> None:
    """Print a report."""
    console.print(
        f"[bold]{report.pipeline}[/]: {report.rows:,} rows, {report.labels:,} labels, "
        f"{report.answered:,} scored events with a known truth, {report.seconds} s"
    )
    numbers = Table("policy", "accuracy", title="Accuracy, test then train")
    for policy, value in report.accuracy.items():
        numbers.add_row(policy, "-" if value is None else f"{100 * value:.2f} %")
    versions = Table("when", "version", "step", "reason", title="Versions")
    for step in report.versions:
        versions.add_row(when(step.at_us), step.version, f"{step.from_state} -> {step.to_state}", step.reason)
    alerts = Table("when", "kind", "state", "severity", "about", title="Alerts")
    for said in report.alerts:
        alerts.add_row(when(said.at_us), said.kind, said.state, said.severity, said.text)
    digests = Table("topic", "sha256", title="Topics")
    for topic, digest in report.digests.items():
        digests.add_row(topic, digest)
    for table in (numbers, versions, alerts, digests):
        console.print(table)
