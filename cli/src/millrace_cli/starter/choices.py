"""Which column is the label, the time, the entity: as asked for, else as the names and values suggest."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace_cli.starter.columns import Looked, Table
from millrace_common.errors import Misconfigured

LABELS = ("label", "target", "class", "outcome", "y", "is_fraud", "fraud", "churn", "converted", "clicked")
TIMES = ("ts", "time", "timestamp", "event_time", "datetime", "date", "created_at")
TAKEN = frozenset(
    {"str", "int", "float", "bool", "datetime", "field", "entity", "event_id", "event_time", "refers_to"}
    | {"type", "where", "delay", "from_file"}
)
UNITS = ((1e8, 1e11, "seconds"), (1e11, 1e14, "milliseconds"))
UNIT_US = {"seconds": 1_000_000, "milliseconds": 1_000, None: 1}
"""What a whole column of numbers since 1970 is counted in, by its least."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What each column is for. `unit` is of a time in numbers; `fields` maps columns to names of fields."""

    label: Looked
    time: Looked | None
    unit: str | None
    span_us: float | None
    """From the first row looked at to the last."""
    entity: Looked | None
    inputs: tuple[Looked, ...]
    texts: tuple[Looked, ...]
    left_out: tuple[Looked, ...]
    fields: Mapping[str, str]


def chosen(table: Table, *, label: str | None, time: str | None, entity: str | None) -> Choices:
    """Return what each column is for. Raises Misconfigured where a column is not there or cannot be what is asked."""
    truth = _label(table, label)
    when = _time(table, time, truth)
    who = None if entity is None else _named(table, entity, "--entity")
    if who is not None and (who.kind not in ("text", "integer") or who.missing):
        raise Misconfigured(f"--entity {who.name}: an entity is text or an integer, and there in every row")
    rest = [one for one in table.columns if one not in (truth, when, who)]
    inputs = tuple(one for one in rest if one.kind in ("number", "integer", "bool"))
    if not inputs:
        raise Misconfigured(f"no column is left to learn from beside {truth.name}; numbers and truth values can be")
    texts = tuple(one for one in rest if one.kind == "text")
    left_out = tuple(one for one in rest if one.kind in ("time", "other"))
    named = [*((who,) if who else ()), *inputs, *texts]
    return Choices(truth, when, _unit(when), _span_us(when), who, inputs, texts, left_out, _fields(named))


def two_valued(column: Looked) -> bool:
    """Return whether a column can be a label: two values, none of them missing."""
    return column.distinct == 2 and not column.missing


def _label(table: Table, asked: str | None) -> Looked:
    if asked is not None:
        found = _named(table, asked, "--label")
        if not two_valued(found):
            raise Misconfigured(f"--label {asked}: a label has two values and is there in every row")
        return found
    possible = [one for one in table.columns if two_valued(one)]
    likely = [one for one in possible if one.name.lower() in LABELS] or possible
    if len(likely) != 1:
        names = ", ".join(one.name for one in possible) or "no column has two values"
        raise Misconfigured(f"name the column that is to be predicted with --label; possible: {names}")
    return likely[0]


def _time(table: Table, asked: str | None, label: Looked) -> Looked | None:
    if asked is None:
        possible = [one for one in table.columns if one is not label and not one.missing and one.rises]
        times = [one for one in possible if one.kind == "time"]
        named = [one for one in possible if one.name.lower() in TIMES and _unit(one)]
        return next(iter([*times, *named]), None)
    found = _named(table, asked, "--time")
    if found.missing or (found.kind != "time" and _unit(found) is None):
        raise Misconfigured(f"--time {asked}: a time is text such as 2024-05-01T12:00:00Z, or seconds or ms since 1970")
    if not found.rises:
        raise Misconfigured(f"--time {asked}: sort the file by it first; events are sent in the order of their time")
    return found


def _unit(column: Looked | None) -> str | None:
    if column is None or column.kind == "time" or column.least is None:
        return None
    return next((unit for least, most, unit in UNITS if least <= column.least < most), None)


def _span_us(time: Looked | None) -> float | None:
    if time is None or time.least is None or time.most is None:
        return None
    return (time.most - time.least) * UNIT_US[_unit(time)]


def _named(table: Table, name: str, option: str) -> Looked:
    found = next((one for one in table.columns if one.name == name), None)
    if found is None:
        raise Misconfigured(f"{option} {name}: the file has {', '.join(one.name for one in table.columns)}")
    return found


def _fields(columns: Sequence[Looked]) -> Mapping[str, str]:
    """Return a free name of a field for each column."""
    names: dict[str, str] = {}
    used = {"row", "ts", "stream"}
    for column in columns:
        name = field_name(column.name)
        while name in used:
            name += "_"
        used.add(name)
        names[column.name] = name
    return names


def field_name(column: str) -> str:
    """Return a column's name as a field may bear it.

    >>> field_name("Unit Price (EUR)"), field_name("2nd"), field_name("class")
    ('unit_price_eur', 'c_2nd', 'class_')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    plain = plain if re.match(r"[a-z]", plain) else f"c_{plain}".rstrip("_")
    return f"{plain}_" if keyword.iskeyword(plain) or plain in TAKEN else plain
