"""`millrace alerts`: what the monitor found, once or as it happens."""

import json as jsonlib
import time
from typing import Annotated, Any

import typer

from millrace_cli import api, console, sse
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_common.errors import Unavailable

group = typer.Typer(help="The alerts.", no_args_is_help=True)
COLUMNS = ("at (UTC)", "model", "kind", "state", "severity", "about", "evidence")
After = Annotated[int | None, typer.Option("--after", help="Only those after this offset.")]
FAILURES_MAX = 30
PAUSE_SECONDS = 1.0


@group.command("list")
def show(home: HomeOption = None, *, after: After = None, json: JsonOption = False) -> None:
    """List the alerts."""
    parameters = {} if after is None else {"after": after}
    alerts = api.of(home_of(home), "monitor").get("/v1/alerts", parameters)
    if json:
        console.show_json(alerts)
    else:
        console.show_table(COLUMNS, [row(alert) for alert in alerts])


@group.command()
def follow(home: HomeOption = None, *, after: After = None, json: JsonOption = False) -> None:
    """Print each alert as it happens, until Ctrl-C; a monitor that is restarted is found again."""
    monitor = api.of(home_of(home), "monitor")
    seen = None if after is None else str(after)
    failures = 0
    while True:
        try:
            with monitor.stream("/v1/alerts/stream", after=seen) as lines:
                for last_id, data in sse.events(lines):
                    seen, failures = last_id, 0
                    console.say(data if json else line(jsonlib.loads(data)))
        except Unavailable:
            failures += 1
            if failures > FAILURES_MAX:
                raise
        time.sleep(PAUSE_SECONDS)


def row(alert: dict[str, Any]) -> tuple[object, ...]:
    """Return an alert as a row."""
    return (
        console.time_text(alert.get("at_us")),
        alert.get("model"),
        alert.get("kind"),
        alert.get("state"),
        alert.get("severity"),
        about(alert),
        evidence(alert),
    )


def line(alert: dict[str, Any]) -> str:
    """Return an alert as one line."""
    return "  ".join(str(cell) for cell in row(alert) if cell)


def about(alert: dict[str, Any]) -> str:
    """Return what an alert is about: its subject, or the first of its items."""
    subject = alert.get("subject")
    if subject:
        return f"{subject['type']} {subject['name']}"
    items = alert.get("items") or ()
    return str(items[0]["name"]) if items else ""


def evidence(alert: dict[str, Any]) -> str:
    """Return the number that raised an alert beside its limit, or why a retrain was asked for."""
    if alert.get("retrain"):
        return str(alert["retrain"].get("reason") or "")
    found = alert.get("evidence") or {}
    if found.get("value") is None:
        return ""
    return f"{found.get('detector')} {found['value']:.4g} (limit {found.get('limit')})"
