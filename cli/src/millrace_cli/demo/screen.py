"""The live view in the terminal, and the timeline at the end."""

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from millrace_cli.console import time_text
from millrace_cli.demo.scene import Accuracies, Scene
from millrace_common.messages.alert import Loop

WINDOWS_SHOWN = 14
ALERTS_SHOWN = 8
BAR_WIDTH = 40


def view(scene: Scene, *, sent: int, seconds: float, doing: str) -> RenderableType:
    """Return the screen of one moment."""
    top = Table.grid(expand=True, padding=(0, 2))
    top.add_row(_topics(scene), _alerts(scene))
    return Group(
        Panel(
            f"[bold]{doing}[/]   {seconds:5.0f} s   {sent:,} events sent   champion: {_champion(scene)}",
            title="millrace demo",
        ),
        top,
        _curve(scene),
    )


def timeline(loop: Loop, found: Accuracies, *, changed_us: int) -> RenderableType:
    """Return what happened when, from the change's first event on, and the accuracies around it."""
    steps = Table("step", "at (UTC)", "after the change", title="The loop", title_justify="left")
    for step, at_us in (
        ("change: the first event of the new concept is sent", changed_us),
        ("detected: the monitor's alert fires", loop.detected_us),
        ("requested: enough labelled events of the new concept", loop.requested_us),
        ("candidate: a new model is trained", loop.candidate_us),
        (f"promoted: version {loop.from_version} gives way to {loop.to_version}", loop.promoted_us),
        ("first prediction by the new version", loop.first_prediction_us),
    ):
        steps.add_row(step, time_text(at_us), f"{(at_us - changed_us) / 1e6:+.1f} s")
    numbers = Table("accuracy", "", title="On late labels", title_justify="left")
    numbers.add_row("before the change", _percent(found.before))
    numbers.add_row("during: the old version on the new concept", _percent(found.during))
    numbers.add_row("after: the new version", _percent(found.after))
    return Group(steps, numbers)


def show(renderable: RenderableType) -> None:
    """Print it."""
    Console().print(renderable)


def _champion(scene: Scene) -> str:
    if scene.model is None or scene.model.version is None:
        return "none yet"
    return f"version {scene.model.version}"


def _topics(scene: Scene) -> Table:
    table = Table("topic", "lag", title="Topics", title_justify="left", box=None)
    for topic, behind in sorted(scene.lag.items()):
        table.add_row(topic, f"{behind:,}")
    unwell = {name: state for name, state in scene.processes.items() if state != "ready"}
    for name, state in unwell.items():
        table.add_row(f"[red]{name}[/]", state)
    return table


def _alerts(scene: Scene) -> Table:
    table = Table("at (UTC)", "alert", "state", "severity", title="Alerts", title_justify="left", box=None)
    for said in scene.alerts[-ALERTS_SHOWN:]:
        table.add_row(time_text(said.at_us), said.kind, said.state, said.severity)
    return table


def _curve(scene: Scene) -> Table:
    table = Table("event time", "version", "labels", "accuracy", "", title="Accuracy", title_justify="left", box=None)
    for window in (scene.model.windows if scene.model else ())[-WINDOWS_SHOWN:]:
        color = "green" if window.accuracy >= 0.9 else "yellow" if window.accuracy >= 0.8 else "red"
        bar = Bar(1.0, 0.0, window.accuracy, width=BAR_WIDTH, color=color)
        at, labels = time_text(window.start_us), f"{window.n:,}"
        table.add_row(at, window.version, labels, _percent(window.accuracy), bar)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
