"""`millrace logs`: the end of a process's log."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from millrace_cli import console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_cli.loglines import readable
from millrace_cli.programs import tail
from millrace_common.errors import Unavailable

PAUSE_SECONDS = 0.25


def logs(
    service: Annotated[str, typer.Argument(help="A service, or kafka, redis, supervisor.")],
    home: HomeOption = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of its last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and print what is added.")] = False,
    json: JsonOption = False,
) -> None:
    """Print the last lines of a process's log."""
    folder = home_of(home)
    log = folder.log(service)
    if not log.exists():
        known = ", ".join(sorted(path.stem for path in folder.logs.glob("*.log"))) or "none"
        raise Unavailable(f"no log of {service!r} in {folder.logs}; there are: {known}")
    show = str if json else partial(readable, traces=True)
    console.say(show(tail(log, lines=lines)))
    if follow:
        for text in added(log):
            console.say(show(text))


def added(log: Path) -> Iterator[str]:
    """Yield the whole lines that are written to a log from now on, also after it was cut by rotation."""
    at = log.stat().st_size
    while True:
        size = log.stat().st_size
        if size < at:
            at = 0
        if size > at:
            with log.open("rb") as file:
                file.seek(at)
                data = file.read(size - at)
            whole = data[: data.rfind(b"\n") + 1]
            at += len(whole)
            if whole:
                yield whole.decode(errors="replace").removesuffix("\n")
        time.sleep(PAUSE_SECONDS)
