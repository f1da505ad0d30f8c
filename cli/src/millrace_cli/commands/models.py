"""`millrace models`: the registry, asked of the gatekeeper; an artifact handed to the trainer."""

from pathlib import Path
from typing import Annotated, Any

import typer

from millrace_cli import api, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of

group = typer.Typer(help="The models: which version answers, since when, and why.", no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="The model's name.")]
DIGEST_SHOWN = len("sha256:") + 12


@group.command("list")
def show_all(home: HomeOption = None, *, json: JsonOption = False) -> None:
    """List the models and the version that answers for each."""
    answer = api.of(home_of(home), "gatekeeper").get("/v1/models")
    if json:
        console.show_json(answer)
        return
    rows = [
        (m["model"], m.get("version"), m.get("state"), console.time_text(m.get("since_us")), _short(m.get("digest")))
        for m in answer["models"]
    ]
    console.show_table(("model", "version", "state", "since (UTC)", "digest"), rows)


@group.command()
def show(model: Model, home: HomeOption = None, *, json: JsonOption = False) -> None:
    """Show one model and every step of its rollouts."""
    answer = api.of(home_of(home), "gatekeeper").get(f"/v1/models/{model}")
    if json:
        console.show_json(answer)
        return
    console.say(f"{model}: version {answer.get('version')}, {answer.get('state')}, {answer.get('digest')}")
    columns = ("epoch", "at (UTC)", "version", "from", "to", "by", "because", "gates")
    console.show_table(columns, [step_row(step) for step in answer["history"]])


@group.command()
def rollback(
    model: Model,
    home: HomeOption = None,
    *,
    version: Annotated[
        str | None, typer.Option("--version", help="The version to return to; default: the last.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the record.")] = None,
    json: JsonOption = False,
) -> None:
    """Let an earlier version answer again."""
    wanted = {"version": version, "reason": reason}
    body = {name: value for name, value in wanted.items() if value is not None}
    answer = api.of(home_of(home), "gatekeeper").post(f"/v1/models/{model}/rollback", body)
    _told(answer, f"{model} goes back to version {answer.get('version', version)}", json=json)


@group.command("import")
def import_(
    model: Model,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The ONNX file.")],
    home: HomeOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Offer a model that was trained elsewhere as a candidate; the gates decide."""
    answer = api.of(home_of(home), "trainer").send_file(f"/v1/models/{model}/import", file.read_bytes())
    _told(answer, f"{model}: {file.name} is handed in as run {answer.get('run_id')}", json=json)


def step_row(step: dict[str, Any]) -> tuple[object, ...]:
    """Return one promotion as a row of `models show`."""
    reason = step.get("reason") or {}
    verdicts = step.get("verdicts") or ()
    return (
        step.get("epoch"),
        console.time_text(step.get("at_us")),
        step.get("version"),
        step.get("from_state"),
        step.get("to_state"),
        (step.get("actor") or {}).get("name"),
        reason.get("text"),
        " ".join(f"{verdict['gate']}:{verdict['verdict']}" for verdict in verdicts),
    )


def _short(digest: str | None) -> str | None:
    return None if digest is None else digest[:DIGEST_SHOWN]


def _told(answer: Any, text: str, *, json: bool) -> None:
    if json:
        console.show_json(answer)
    else:
        console.say(text)
