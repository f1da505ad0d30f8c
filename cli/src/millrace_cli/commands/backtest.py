"""`millrace backtest`: judge a retraining policy on a team's own history before it goes live."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from millrace.durations import microseconds
from millrace_cli import console, plan
from millrace_cli.backtest.page import page
from millrace_cli.backtest.report import Report, show
from millrace_cli.backtest.trial import Changes
from millrace_cli.backtest.trial import backtest as run
from millrace_cli.commands.options import JsonOption
from millrace_common import log

Pipeline = Annotated[str, typer.Argument(help="module:ATTRIBUTE or path.py:ATTRIBUTE")]
File = Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet, sorted by time", exists=True, dir_okay=False)]
Delay = Annotated[str | None, typer.Option(help="how long labels take: 0, 30m, 1d; as the pipeline says")]
Bootstrap = Annotated[int | None, typer.Option(help="labelled rows before the first training; as the pipeline says")]
Html = Annotated[Path | None, typer.Option(help="draw accuracy over time, with alerts and promotions, into this file")]


def backtest(
    pipeline: Pipeline,
    file: File,
    delay: Delay = None,
    bootstrap: Bootstrap = None,
    html: Html = None,
    *,
    json: JsonOption = False,
) -> None:
    """Run the six services over a file on a virtual clock: accuracy, versions, alerts, and each topic's sha256."""
    log.configure("warning", "console")
    deployment = plan.deployment_of([pipeline])
    changes = Changes(_delay_us(delay), bootstrap)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("events", total=None)
        reports = asyncio.run(run(deployment, file, changes, told=lambda n: progress.advance(task, n)))
    if html is not None:
        html.write_text(page(reports))
    _say(reports, json=json)


def _delay_us(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return 0 if text == "0" else microseconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--delay") from error


def _say(reports: tuple[Report, ...], *, json: bool) -> None:
    if json:
        console.show_json([report.as_dict() for report in reports])
        return
    for report in reports:
        show(report, Console())
