"""`millrace logs`: the end of a process's log."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from millrace_cli import console
from millrace_cli.commands.options import HomeOption, home_of
from millrace_cli.programs import tail
from millrace_common.errors import Unavailable

PAUSE_SECONDS = 0.25


def logs(
    service: Annotated[str, typer.Argument(help="A service, or kafka, redis, supervisor.")],
    home: HomeOption = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of its last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and print what is added.")] = False,
) -> None:
    """Print the last lines of a process's log."""
    folder = home_of(home)
    log = folder.log(service)
    if not log.exists():
        known = ", ".join(sorted(path.stem for path in folder.logs.glob("*.log"))) or "none"
        raise Unavailable(f"no log of {service!r} in {folder.logs}; there are: {known}")
    console.say(tail(log, lines=lines))
    if follow:
        for text in added(log):
            typer.echo(text, nl=False)


def added(log: Path) -> Iterator[str]:
    """Yield what is written to a log from now on, also after it was cut by rotation."""
    at = log.stat().st_size
    while True:
        size = log.stat().st_size
        if size < at:
            at = 0
        if size > at:
            with log.open("rb") as file:
                file.seek(at)
                data = file.read(size - at)
            at += len(data)
            yield data.decode(errors="replace")
        time.sleep(PAUSE_SECONDS)
