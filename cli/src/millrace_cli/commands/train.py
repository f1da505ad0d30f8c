"""`millrace train`: ask the monitor for a new version of a model."""

from typing import Annotated

import typer

from millrace_cli import api, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of


def train(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    home: HomeOption = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "asked for on the command line",
    json: JsonOption = False,
) -> None:
    """Ask for a new version of a model now."""
    answer = api.of(home_of(home), "monitor").post(f"/v1/models/{model}/train", {"reason": reason})
    if json:
        console.show_json(answer)
    else:
        console.say(f"{model}: training is asked for; follow it with `millrace alerts follow`")
