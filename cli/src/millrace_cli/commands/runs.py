"""`millrace runs`: the trainer's runs."""

from typing import Annotated, Any

import typer

from millrace_cli import api, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of

group = typer.Typer(help="The training runs.", no_args_is_help=True)


@group.command("list")
def show(home: HomeOption = None, *, json: JsonOption = False) -> None:
    """List the newest runs and how they ended."""
    answer = api.of(home_of(home), "trainer").get("/v1/runs")
    if json:
        console.show_json(answer)
    else:
        console.show_table(("run", "model", "status", "trigger", "started (UTC)", "why"), map(row, answer["runs"]))


@group.command()
def cancel(run: Annotated[str, typer.Argument(help="The run's id.")], home: HomeOption = None) -> None:
    """Cancel a run that has not ended."""
    api.of(home_of(home), "trainer").post(f"/v1/runs/{run}/cancel", {})
    console.say(f"run {run} is cancelled")


def row(run: dict[str, Any]) -> tuple[object, ...]:
    """Return a run as a row."""
    return (
        run.get("run_id"),
        run.get("model"),
        run.get("status"),
        (run.get("trigger") or {}).get("kind"),
        console.time_text(run.get("started_us")),
        (run.get("reason") or {}).get("text"),
    )
