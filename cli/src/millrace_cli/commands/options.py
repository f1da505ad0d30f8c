"""The options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from millrace_cli.home import Home
from millrace_cli.settings import CliSettings

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The folder that holds all data; MILLRACE_HOME, else .millrace.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]


def home_of(folder: Path | None) -> Home:
    """Return the home that a command means."""
    return Home(folder if folder is not None else CliSettings().home)


def pairs(words: list[str], option: str) -> dict[str, str]:
    """Return NAME=VALUE words as a mapping; a usage error names the one that is none."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found
