"""The pipeline file as text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import millrace
from millrace import durations
from millrace_cli.starter.choices import Choices
from millrace_cli.starter.columns import Looked, Table

TYPES = {"number": "float", "integer": "float", "bool": "bool", "text": "str"}
DAY_US = durations.UNITS_US["d"]
BOOTSTRAP_MAX, BOOTSTRAP_MIN = 1_000, 50
WINDOWS = ("1h", "6h", "1d", "7d", "30d")
WINDOW_ROWS = 200
"""What a window of drift should hold, so that it can say something."""

TEMPLATE = '''\
"""A first pipeline, written from {file}: read it, correct it, make it yours.

See `millrace check {output}` and `millrace backtest {output} {file}`.
"""

from datetime import {datetime}

from millrace import (
{imports}
)


class {event}(Event):
    """One row of the file, as it would have been sent."""

{fields}


class {outcome}(Event):
    """What became of it, seen later."""

    row: Field[int] = refers_to({event})
    truth: Field[bool]
    ts: Field[datetime] = event_time()


# Nothing is known of a row until its outcome is seen; give a `default` if silence means one.
Truth = Label({event}, seen_in={outcome}, value={outcome}.truth, matures_after="{matures}")
{start}
PIPELINE = Pipeline(
    "{pipeline}",
    model=Model(
        view=[
{view}
        ],
        label=Truth,
        estimator=LightGBM(),
        bootstrap={bootstrap},
    ),
    drift=Drift(window="{window}"),
    retrain=Retrain(on_performance=True),
    source=FileSource(
        events=[
            {event}.from_file(
{columns}
            ),
            # The delay is how long after its row the truth is known: set it to what is so for your data.
            {outcome}.from_file(row=row_number, truth={truth}, delay="{delay}"),
        ]
    ),
)
'''


@dataclass(frozen=True, slots=True)
class Names:
    """What the file calls things."""

    file: str
    output: str
    stem: str
    delay: str


def pipeline_text(table: Table, choices: Choices, names: Names) -> str:
    """Return a pipeline file that passes `millrace check` and `mypy --strict`."""
    event = class_name(names.stem)
    unit = choices.unit or ("minutes" if choices.time is None else None)
    used = [
        *("Drift", "Event", "Field", "FileSource", "Label", "LightGBM", "Model", "Pipeline", "Retrain"),
        *("column", "entity", "event_id", "event_time", *((unit,) if unit else ()), "refers_to", "row_number"),
    ]
    return TEMPLATE.format(
        file=_printable(names.file),
        output=_printable(names.output),
        datetime="UTC, datetime" if choices.time is None else "datetime",
        imports=_lines((f"{name}," for name in used), depth=1),
        event=event,
        outcome=f"{event}Outcome",
        fields=_lines(_fields(choices), depth=1),
        matures=durations.text(max(DAY_US, 2 * durations.microseconds(names.delay))),
        start="" if choices.time else _START,
        window=_window(table, choices),
        pipeline=_pipeline_name(names.stem),
        view=_lines((f"{event}.{choices.fields[one.name]}," for one in choices.inputs), depth=3),
        bootstrap=min(BOOTSTRAP_MAX, max(BOOTSTRAP_MIN, table.rows // 5)),
        columns=_lines(_columns(choices, unit), depth=4),
        truth=_truth(choices.label),
        delay=names.delay,
    )


_START = """
# The file names no time: its rows are taken to be a minute apart.
START = datetime(2024, 1, 1, tzinfo=UTC)
"""


def class_name(stem: str) -> str:
    """Return a class name for the rows of a file, none that `millrace` itself has.

    >>> class_name("card-payments_2024"), class_name("2024"), class_name("model")
    ('CardPayments2024', 'Row2024', 'ModelRow')
    """
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[:1].upper() + word[1:] for word in words if word.isascii()) or "Row"
    name = name if name[0].isalpha() else f"Row{name}"
    return f"{name}Row" if name in {*millrace.__all__, "UTC", "Truth", "START", "PIPELINE"} else name


def _pipeline_name(stem: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return plain if re.match(r"[a-z]", plain) else f"pipeline_{plain}".rstrip("_")


def _fields(choices: Choices) -> Iterable[str]:
    yield "row: Field[int] = event_id()"
    if choices.entity is None:
        yield "stream: Field[str] = entity()"
    else:
        kind = "int" if choices.entity.kind == "integer" else "str"
        yield f"{choices.fields[choices.entity.name]}: Field[{kind}] = entity()"
    for column in (*choices.inputs, *choices.texts):
        absent = " | None" if column.missing else ""
        note = "  # kept, but this version learns from numbers and truth values" if column in choices.texts else ""
        yield f"{choices.fields[column.name]}: Field[{TYPES[column.kind]}{absent}]{note}"
    for column in choices.left_out:
        yield f"# left out: {_printable(column.name)}"
    yield "ts: Field[datetime] = event_time()"


def _columns(choices: Choices, unit: str | None) -> Iterable[str]:
    yield "row=row_number,"
    if choices.entity is None:
        yield 'stream="all",'
    named = [*((choices.entity,) if choices.entity else ()), *choices.inputs, *choices.texts]
    for column in named:
        yield f"{choices.fields[column.name]}=column({quoted(column.name)}),"
    if choices.time is None:
        yield "ts=START + minutes * row_number,"
    else:
        scaled = f" * {unit}" if unit else ""
        yield f"ts=column({quoted(choices.time.name)}){scaled},"


def _window(table: Table, choices: Choices) -> str:
    """Return the shortest window that holds enough rows."""
    minute_us = durations.UNITS_US["m"]
    row_us = minute_us if choices.span_us is None else choices.span_us / table.rows
    long_enough = [window for window in WINDOWS if durations.microseconds(window) >= WINDOW_ROWS * row_us]
    return next(iter(long_enough), WINDOWS[-1])


def _truth(label: Looked) -> str:
    column = f"column({quoted(label.name)})"
    if label.kind == "bool":
        return column
    positive = label.values[-1]
    return f"{column} == {quoted(positive) if isinstance(positive, str) else repr(positive)}"


def quoted(text: str) -> str:
    """Return text as a Python literal in double quotes.

    >>> quoted("class")
    '"class"'
    """
    return f'"{_printable(text)}"'


def _printable(text: str) -> str:
    return text.encode("unicode_escape").decode().replace('"', '\\"')


def _lines(lines: Iterable[str], *, depth: int) -> str:
    return "\n".join(f"{'    ' * depth}{line}" for line in lines)
