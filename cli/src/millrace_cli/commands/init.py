"""`millrace init`: a first pipeline file for a team's own data."""

from pathlib import Path
from typing import Annotated

import typer

from millrace import durations
from millrace.loading import load
from millrace_cli import console
from millrace_cli.starter.choices import chosen
from millrace_cli.starter.columns import looked_at
from millrace_cli.starter.text import Names, pipeline_text
from millrace_common.errors import Misconfigured

FileOption = Annotated[Path, typer.Option("--from", help="CSV, JSON lines or Parquet, one event a row.")]
LabelOption = Annotated[str | None, typer.Option("--label", help="The column to predict; it has two values.")]
TimeOption = Annotated[str | None, typer.Option("--time", help="The column that says when; the file is sorted by it.")]
EntityOption = Annotated[str | None, typer.Option("--entity", help="The column that says what a row is about.")]
DelayOption = Annotated[str, typer.Option("--delay", help="How long after its row the truth is known, such as 30m.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The pipeline file to write.")]


def init(
    file: FileOption,
    *,
    label: LabelOption = None,
    time: TimeOption = None,
    entity: EntityOption = None,
    delay: DelayOption = "0s",
    output: OutputOption = Path("pipeline.py"),
) -> None:
    """Look at a file of your own and write a first pipeline file that can be checked and backtested."""
    if output.exists():
        raise Misconfigured(f"{output} is there already; move it away, or give another -o")
    try:
        durations.microseconds(delay)
    except ValueError as error:
        raise Misconfigured(f"--delay: {error}") from error
    table = looked_at(file)
    choices = chosen(table, label=label, time=time, entity=entity)
    output.write_text(pipeline_text(table, choices, Names(str(file), str(output), file.stem, delay)))
    load([str(output)])
    when = f"{choices.time.name} says when" if choices.time else "no column says when: rows are a minute apart"
    who = f"{choices.entity.name} says about what" if choices.entity else "no entity: one stream of rows"
    console.say(f"wrote {output}: {choices.label.name} is predicted from {len(choices.inputs)} columns; {when}; {who}")
    console.say(f"next: millrace check {output}; millrace backtest {output} {file}")
