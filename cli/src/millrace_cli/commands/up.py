"""`millrace up` and `millrace down`: the whole platform from one command, and its end."""

import os
from typing import Annotated

import typer

from millrace_cli import console, detached, plan, ports
from millrace_cli.commands.options import HomeOption, home_of
from millrace_cli.home import Home, Status
from millrace_cli.settings import CliSettings
from millrace_cli.supervisor import Supervisor
from millrace_common.clock import SystemClock

Pipelines = Annotated[
    list[str] | None,
    typer.Argument(help="module:ATTRIBUTE or path.py:ATTRIBUTE; MILLRACE_PIPELINES, else those of the last run."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Return when all is ready and leave it running.")]


def up(pipelines: Pipelines = None, home: HomeOption = None, *, detach: Detach = False) -> None:
    """Start Kafka, Redis and the six services; stay until Ctrl-C, or go with --detach."""
    folder = home_of(home)
    if detach:
        folder.refuse_second()
        console.show_endpoints(detached.start_detached(folder, pipelines or ()))
        console.say("millrace is up; end it with `millrace down`")
        return
    with folder.held():
        supervise(folder, pipelines or [])


def supervise(home: Home, pipelines: list[str]) -> None:
    """Run the platform on a home that this process holds, until a signal ends it."""
    home.sweep()
    clock = SystemClock()
    home.write(Status("starting", os.getpid(), clock.now_us()))
    with ports.claimed(plan.wanted_ports(home)) as chosen:
        work = plan.of_home(home, pipelines, CliSettings(), chosen)
        home.write(work.endpoints)

        def told_ready() -> None:
            console.show_endpoints(work.endpoints)
            console.say("millrace is up; Ctrl-C or `millrace down` ends it")

        Supervisor(home, work.stages, clock, on_ready=told_ready, tell=console.warn).run()


def down(home: HomeOption = None) -> None:
    """End everything that `up` started; the data stays."""
    folder = home_of(home)
    ended = detached.end(folder)
    console.say("millrace is down" if ended else f"nothing was up on {folder.folder}")
