"""What people see: tables and lines; and what programs see: JSON."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace_cli.home import Endpoints

WIDTH = 160
"""Of tables that go to a file or a program, in characters."""


def show_json(value: object) -> None:
    """Print a value as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows under columns; None is shown as nothing, and no text is taken for markup."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def say(text: str) -> None:
    """Print a line."""
    typer.echo(text)


def warn(text: str) -> None:
    """Print a line to standard error, so that what programs read stays clean."""
    typer.echo(text, err=True)


def show_endpoints(endpoints: Endpoints) -> None:
    """Print where to reach what."""
    rows = [
        ("Kafka", endpoints.kafka_bootstrap_servers, "produce to raw-data, subscribe to predictions and drift-alerts"),
        ("Redis", endpoints.redis_url, "the online store"),
        ("ingest", endpoints.services["ingest"], "POST /v1/events"),
        ("serving", endpoints.services["serving"], "POST /v1/models/MODEL/predict"),
        ("monitor", endpoints.services["monitor"], "the status page"),
        *((name, endpoints.services[name], None) for name in ("features", "trainer", "gatekeeper")),
    ]
    show_table(("what", "where", "for"), rows)


def time_text(at_us: int | None) -> str | None:
    """Return a time of microseconds as people read it, in UTC.

    >>> time_text(1_700_000_000_000_000)
    '2023-11-14 22:13:20'
    """
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
