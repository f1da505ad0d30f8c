"""`millrace demo`: the whole loop, live, on a stream whose concept changes."""

import pkgutil
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.live import Live

from millrace.spec import Scalar
from millrace_cli import console
from millrace_cli.demo import screen
from millrace_cli.demo.feed import Feeder
from millrace_cli.demo.scene import Accuracies, Scene, accuracies, look
from millrace_cli.detached import running
from millrace_cli.home import Home
from millrace_common.clock import SystemClock
from millrace_common.errors import Misconfigured

PIPELINE = "pipelines.fraud:PIPELINE"
STREAM = "pipelines.fraud_stream:FraudStream"
MODEL = "fraud"
MARK = "demo"
LOOK_SECONDS = 1.0
FolderOption = Annotated[Path, typer.Option("--home", help="A folder of the demo's own; emptied at its start.")]
RateOption = Annotated[int, typer.Option(help="Events a second.", min=10)]
SecondsOption = Annotated[float, typer.Option(help="Give up after so many seconds of streaming.")]


class Stream(Protocol):
    """A stream with one planted change."""

    @property
    def change_us(self) -> int:
        """Return the event time of the change."""
        ...

    @property
    def change_event(self) -> dict[str, Scalar]:
        """Return the first event of the new concept."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a demo ended."""

    scene: Scene
    found: Accuracies | None
    marked_us: int | None


def demo(
    home: FolderOption = Path(".millrace-demo"), rate: RateOption = 300, seconds_max: SecondsOption = 360.0
) -> None:
    """Start everything, stream card payments whose concept changes, and stay until the loop has closed."""
    folder = fresh(home)
    console.say(f"starting Kafka, Redis and six services in {home} ...")
    with running(folder.folder, pipelines=[PIPELINE]) as endpoints:
        console.show_endpoints(endpoints)
        console.say("from another shell: `millrace alerts follow --home " + str(home) + "`")
        stream = pkgutil.resolve_name(STREAM).ending_at(SystemClock().now_us())
        feeder = Feeder(endpoints.services["ingest"], stream, rate, mark=stream.change_event)
        feeder.start()
        try:
            ending = watch(folder, feeder, stream, seconds_max=seconds_max)
        finally:
            feeder.stop()
    conclude(ending, feeder)


def fresh(folder: Path) -> Home:
    """Return an empty home; a folder that is not a demo's is left alone, and refused."""
    mark = folder / MARK
    if folder.exists() and any(folder.iterdir()):
        if not mark.exists():
            raise Misconfigured(f"{folder} holds something that is not a demo's; name another with --home")
        home = Home(folder)
        home.refuse_second()
        home.sweep()
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    sys.path.insert(0, str(Path.cwd()))
    return Home(folder)


def watch(home: Home, feeder: Feeder, stream: Stream, *, seconds_max: float) -> Ending:
    """Show the platform until accuracy has recovered, the stream has ended, or time is up."""
    began = time.monotonic()
    with Live(console=Console(), refresh_per_second=4) as live:
        while True:
            scene = look(home, MODEL)
            loop = scene.loop
            found = None
            if loop is not None and scene.model is not None:
                found = accuracies(scene.model.windows, loop, changed_us=stream.change_us)
            seconds = time.monotonic() - began
            live.update(screen.view(scene, sent=feeder.sent, seconds=seconds, doing=doing(scene, feeder)))
            over = feeder.is_done or seconds > seconds_max
            if over or (found is not None and found.has_recovered):
                return Ending(scene, found, feeder.marked_us)
            time.sleep(LOOK_SECONDS)


def doing(scene: Scene, feeder: Feeder) -> str:
    """Say in a few words where the story stands."""
    if scene.model is None or scene.model.version is None:
        return "gathering labelled events for the first model"
    if feeder.marked_us is None:
        return "serving"
    if scene.loop is None:
        return "the concept has changed"
    return "a new version serves; waiting for its labels"


def conclude(ending: Ending, feeder: Feeder) -> None:
    """Tell the story; exit 1 unless all of it happened."""
    if feeder.failure is not None:
        raise feeder.failure
    loop = ending.scene.loop
    if loop is None or ending.found is None or ending.marked_us is None:
        console.warn("the loop did not close: see the logs in the home folder")
        raise typer.Exit(1)
    screen.show(screen.timeline(loop, ending.found, changed_us=ending.marked_us))
    if not ending.found.has_recovered:
        console.warn("the loop closed, but accuracy did not recover")
        raise typer.Exit(1)
    console.say("The loop closed and accuracy recovered.")
