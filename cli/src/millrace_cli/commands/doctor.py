"""`millrace doctor`: what this machine lacks, each with the mend."""

import typer

from millrace_cli import checkup, console
from millrace_cli.commands.options import HomeOption, JsonOption, home_of
from millrace_cli.settings import CliSettings


def doctor(home: HomeOption = None, *, json: JsonOption = False) -> None:
    """Look at what the platform needs of this machine; exit 1 when something is lacking."""
    findings = checkup.findings(home_of(home), CliSettings())
    if json:
        console.show_json(findings)
    else:
        console.show_table(
            ("", "what", "found", "mend"),
            [(finding.verdict, finding.what, finding.found, finding.mend) for finding in findings],
        )
    if any(finding.verdict == "lacking" for finding in findings):
        raise typer.Exit(1)
