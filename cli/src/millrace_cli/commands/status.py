"""`millrace status`: each process, whether it is ready, how far behind it is."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import typer

from millrace_cli import api, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_cli.home import Home, ProcessStatus, Status
from millrace_common.errors import Refused, Unavailable

ANSWER_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class ProcessReport(ProcessStatus):
    """One process: the supervisor's view of it, and its own."""

    deployment: str | None = None
    lag: dict[str, int] = field(default_factory=dict)
    """Records not yet read, per topic."""
    answer: dict[str, Any] | None = None
    """What a service says of itself; None of Kafka and Redis, and of one that does not answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """The platform: "down" when no supervisor lives, whatever its last word was."""

    state: str
    supervisor: int | None
    processes: tuple[ProcessReport, ...]
    deployments_differ: bool


def status(home: HomeOption = None, *, json: JsonOption = False) -> None:
    """Show each process: its state, its restarts, its lag; exit 1 unless all are ready."""
    report = report_of(home_of(home))
    if json:
        console.show_json(report)
    else:
        _show(report)
    if report.state != "ready":
        raise typer.Exit(1)


def report_of(home: Home) -> Report:
    """Return what is known of a home's platform; Unavailable where there never was one."""
    said = home.status()
    if said is None:
        raise Unavailable(f"nothing was ever up on {home.folder}: start it with `millrace up`, or name it with --home")
    supervisor = home.supervisor()
    if supervisor is None:
        return Report("down", None, (), deployments_differ=False)
    if said.pid != supervisor:  # the last word is an earlier supervisor's
        return Report("starting", supervisor, (), deployments_differ=False)
    return assemble(said, supervisor, _answers(home, said))


def assemble(said: Status, supervisor: int, answers: Sequence[dict[str, Any] | None]) -> Report:
    """Return the report of a living platform from the supervisor's words and the services' own."""
    processes = tuple(_process(process, answer) for process, answer in zip(said.processes, answers, strict=True))
    deployments = {process.deployment for process in processes} - {None}
    return Report(said.state, supervisor, processes, deployments_differ=len(deployments) > 1)


def _process(process: ProcessStatus, answer: dict[str, Any] | None) -> ProcessReport:
    lag: dict[str, int] = {}
    for place in (answer or {}).get("partitions", ()):
        behind = (place.get("end") or 0) - (place.get("position") or 0)
        lag[place["topic"]] = lag.get(place["topic"], 0) + max(0, behind)
    deployment = None if answer is None else answer.get("deployment")
    return ProcessReport(**asdict(process), deployment=deployment, lag=lag, answer=answer)


def _answers(home: Home, said: Status) -> list[dict[str, Any] | None]:
    endpoints = home.endpoints()
    services = {} if endpoints is None else endpoints.services
    with ThreadPoolExecutor(max_workers=max(1, len(said.processes))) as pool:
        return list(
            pool.map(lambda process: _ask(home, process.name) if process.name in services else None, said.processes)
        )


def _ask(home: Home, service: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = api.of(home, service, seconds_max=ANSWER_SECONDS_MAX).get("/status")
    except (Unavailable, Refused):
        return None
    return answer


def _show(report: Report) -> None:
    console.say(f"millrace is {report.state}" + (f" (supervisor {report.supervisor})" if report.supervisor else ""))
    if not report.processes:
        return
    rows = [
        (
            row.name,
            row.pid,
            row.state,
            row.restarts,
            row.port,
            ", ".join(f"{topic} {lag}" for topic, lag in row.lag.items()),
            why(row),
        )
        for row in report.processes
    ]
    console.show_table(("process", "pid", "state", "restarts", "port", "lag", ""), rows)
    if report.deployments_differ:
        console.warn("the services run different deployments: a pipeline file changed; `millrace down`, then `up`")


def why(row: ProcessReport) -> str:
    """Return in one line why a process is not ready, or nothing."""
    text = row.reason or str((row.answer or {}).get("reason") or "")
    return text.splitlines()[-1] if text else ""
