"""`millrace replay`: a file's rows as the events that would have been sent, to ingest."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from millrace.spec import Deployment, FileSourceSpec
from millrace_cli import api, console, plan, replays
from millrace_cli.commands.options import HomeOption, home_of
from millrace_cli.home import Home
from millrace_common.clock import SystemClock
from millrace_common.errors import Unavailable
from millrace_engine.cells import Cell
from millrace_engine.files import FileEvent, events_of
from millrace_ingest.adapters import files
from millrace_ingest.core.pacing import Pace, shift_us


@dataclass(slots=True)
class History:
    """A file as events in order of time, from any of them on. `rows_read` tells how far the file was read."""

    file: Path
    source: FileSourceSpec
    deployment: Deployment
    limit: int | None
    rows_read: int = 0

    def events(self, first: int = 0) -> Iterator[FileEvent]:
        """Return the events from number `first` on."""
        return islice(events_of(self.source, self.deployment, self._rows()), first, self.limit)

    def _rows(self) -> Iterator[dict[str, Cell]]:
        for number, row in enumerate(files.rows(self.file)):
            self.rows_read = number + 1
            yield row


def replay(  # noqa: PLR0913 - to typer every option is a parameter
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON lines or Parquet, by its name.")],
    home: HomeOption = None,
    *,
    pipeline: Annotated[str | None, typer.Option(help="Whose source reads the file; default: the only one.")] = None,
    speed: Annotated[str, typer.Option(help="Event seconds per second, or max.")] = "max",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second, in place of a speed.")] = None,
    rebase_to_now: Annotated[bool, typer.Option(help="Shift times so that none lies after it is sent.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Send this many events of the file at most.")] = None,
) -> None:
    """Send a file's events to ingest; interrupted, the same command goes on where it stopped, without doubles."""
    here = home_of(home)
    pace = Pace(speed=_speed(speed, rate), rate=rate)
    deployment = plan.deployment_of(_pipelines(here))
    chosen, source = replays.source_of(deployment, pipeline)
    history = History(file, source, deployment, limit)
    note = replays.journal(here.folder, file, chosen, is_rebased=rebase_to_now)
    progress = note.read()
    if progress is None:
        now_us = SystemClock().now_us()
        shift = shift_us(pace, (event.at_us for event in history.events()), now_us=now_us) if rebase_to_now else 0
        progress = replays.Progress(shift_us=shift, file=str(file))
    if progress.is_done:
        console.say(
            f"{file.name}: {progress.acknowledged} events were sent before; to send it again delete {note.path}"
        )
        return
    reached = _sent(here, history, note, progress, pace)
    note.write(replays.closed(reached, is_done=limit is None))
    console.say(f"{file.name}: {reached.acknowledged} events are in raw-data")


def _sent(
    here: Home, history: History, note: replays.Journal, progress: replays.Progress, pace: Pace
) -> replays.Progress:
    """Send what is left, under a progress bar, and return how far it came."""
    timing = replays.Timing(pace, time.monotonic, time.sleep)
    lines = replays.Lines(history.deployment, progress.shift_us)
    with httpx.Client(base_url=api.of(here, "ingest").url) as client, _bar() as bar:
        task = bar.add_task(history.file.name, total=files.about_rows(history.file), events=progress.acknowledged)
        sender = replays.Sender(client, note.digest, time.monotonic, time.sleep)
        events = history.events(progress.acknowledged)
        sending = replays.send_all(events, note=note, progress=progress, lines=lines, timing=timing, sender=sender)
        for reached in sending:
            progress = reached
            _show(bar, task, history, progress)
        bar.update(task, total=history.rows_read, completed=history.rows_read)
    return progress


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows, {task.fields[events]} events sent"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _show(bar: Progress, task: TaskID, history: History, progress: replays.Progress) -> None:
    bar.update(task, completed=history.rows_read, events=progress.acknowledged)


def _pipelines(here: Home) -> tuple[str, ...]:
    """Return what runs on this home: the pipelines that `millrace up` was given."""
    endpoints = here.endpoints()
    if endpoints is None:
        raise Unavailable(f"nothing was ever up on {here.folder}: start it with `millrace up`, or name it with --home")
    return endpoints.pipelines


def _speed(text: str, rate: float | None) -> float | None:
    if text == "max":
        return None
    if rate is not None:
        raise typer.BadParameter("give a speed or a rate, not both", param_hint="--speed")
    try:
        speed = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number, and not max", param_hint="--speed") from error
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text!r} must be above 0", param_hint="--speed")
    return speed
