"""File sources as expressions on columns for each field of each event."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from millrace.checks.draft import Draft
from millrace.checks.events import event_spec
from millrace.files import FileColumn, FileConstant, FileEvent, FileOperand, FileOperation, FileSource
from millrace.places import Place
from millrace.spec import Column, Const, EventSpec, FileEventSpec, FileExpr, FileOp, FileSourceSpec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def source_spec(source: FileSource, draft: Draft) -> FileSourceSpec | None:
    """Return a checked file source; None where it has mistakes."""
    before = len(draft.mistakes)
    if not source.events:
        mend = "list what a row becomes: events=[Sale.from_file(...)]"
        draft.mistake(source.place, "a file source without events", mend=mend)
        return None
    if not all([draft.is_a(source.place, event, FileEvent, of="an event of the file") for event in source.events]):
        return None
    time = _time(source.events[0], draft)
    specs = [_event(event, time, draft) for event in source.events]
    if len(draft.mistakes) > before:
        return None
    return FileSourceSpec(tuple(spec for spec in specs if spec is not None))


def _time(first: FileEvent, draft: Draft) -> FileOperand | None:
    spec = event_spec(first.event, draft)
    return first.fields.get(spec.time_field) if spec else None


def _event(event: FileEvent, time: FileOperand | None, draft: Draft) -> FileEventSpec | None:
    spec = event_spec(event.event, draft)
    if spec is None:
        return None
    given = dict(event.fields) if time is None else {spec.time_field: time, **event.fields}
    fields = {name: _expression(value, event.place, draft) for name, value in given.items()}
    _complete(spec, fields, event.place, draft)
    where = None if event.where is None else _expression(event.where, event.place, draft)
    delay_us = draft.duration(event.place, event.delay, of="delay")
    return FileEventSpec(spec.type, fields, delay_us, where)


def _complete(spec: EventSpec, given: Mapping[str, FileExpr], place: Place, draft: Draft) -> None:
    names = {field.name for field in spec.fields}
    for name in sorted(given.keys() - names):
        mend = f"{spec.class_name} has {', '.join(field.name for field in spec.fields)}"
        draft.mistake(place, f"{spec.class_name}.from_file: `{name}` is no field", mend=mend)
    for field in spec.fields:
        if field.name not in given and not field.optional:
            mend = f'give it a value, such as {field.name}=column("{field.name}")'
            draft.mistake(place, f"{spec.class_name}.from_file lacks `{field.name}`", mend=mend)


def _expression(value: FileOperand, place: Place, draft: Draft) -> FileExpr:
    match value:
        case FileColumn():
            return Column(value.name)
        case FileConstant():
            return Const(value.value)
        case FileOperation():
            return FileOp(value.name, tuple(_expression(operand, value.place, draft) for operand in value.operands))
        case datetime():
            return Const(_microseconds(value, place, draft))
        case bool() | int() | float() | str():
            return Const(value)
    draft.mistake(
        place, f"{value!r} is no value of a field", mend="use columns, row_number, text, numbers and datetimes"
    )
    return Const(None)


def _microseconds(value: datetime, place: Place, draft: Draft) -> int:
    if value.tzinfo is None:
        draft.mistake(place, f"the time {value} has no zone", mend="write datetime(..., tzinfo=UTC)")
        return 0
    return (value - EPOCH) // timedelta(microseconds=1)
