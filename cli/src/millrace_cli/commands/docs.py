"""`millrace docs`: the reference pages, written from the code."""

from pathlib import Path
from typing import Annotated

import typer

from millrace_cli import console, reference

group = typer.Typer(help="The reference, generated from the code.", no_args_is_help=True)


@group.callback()
def documented() -> None:
    """Keep `docs` a group while it has one command."""


@group.command()
def write(folder: Annotated[Path, typer.Argument(help="Where the pages go.", file_okay=False)]) -> None:
    """Write every generated page into a folder."""
    for name, text in reference.generate().items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
        console.say(str(page))
