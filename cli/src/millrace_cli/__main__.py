"""The command `millrace`."""

import sys

import typer

from millrace_cli import commands, console
from millrace_common.errors import EXIT_CONFIGURATION, DataGap, MillraceError, Misconfigured, Refused

EXIT_FAILED = 1


def build() -> typer.Typer:
    """Return the app with every command."""
    app = typer.Typer(
        name="millrace",
        help="Keep a machine-learning model right while its data changes.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    commands.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, or `arguments`; an error of ours is told in its own words, without a traceback."""
    try:
        build()(arguments)
    except (Misconfigured, DataGap) as error:
        console.warn(f"millrace: {error}")
        sys.exit(EXIT_CONFIGURATION)
    except (MillraceError, Refused) as error:
        console.warn(f"millrace: {error}")
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
