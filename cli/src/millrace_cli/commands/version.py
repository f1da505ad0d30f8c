"""`millrace version`."""

from importlib.metadata import version as version_of

from millrace_cli import console


def version() -> None:
    """Print the version."""
    console.say(version_of("millrace-cli"))
