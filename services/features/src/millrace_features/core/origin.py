"""Where a copy was made from: the header that every move and every copy for another entity carries (R12)."""

import re
from dataclasses import dataclass

from millrace_common.errors import Refused
from millrace_common.records import Headers, Record
from millrace_common.topics import RAW_DATA

MOVED = "millrace-moved"
EVENT_ID = "millrace-event-id"
CORRECTION = "millrace-correction"
"""`replace` or `withdraw`: the record corrects the event of its id and entity."""
_PLACE = re.compile(rf"{RAW_DATA.name}/([0-9]{{1,9}})/([0-9]{{1,18}})/([0-9]{{1,18}})")
"""Numbers that fit where they are stored: a partition of 32 bits, the others of 64."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event lay before, and when it first came: `max_future` is judged by that time."""

    partition: int
    offset: int
    append_time_us: int


def origin_of(record: Record) -> Origin | None:
    """Return where a copy came from, None for a record that a producer sent. Raises Refused (`malformed-move`).

    >>> origin_of(Record("raw-data", 0, 9, None, b"", ((MOVED, b"raw-data/3/17/1700"),), 0))
    Origin(partition=3, offset=17, append_time_us=1700)
    """
    text = record.header(MOVED) if record.headers else None
    if text is None:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise Refused(
            "malformed-move", f"{text[:100]!r} is not raw-data/<partition>/<offset>/<append time>", field=MOVED
        )
    partition, offset, append_time_us = map(int, found.groups())
    return Origin(partition, offset, append_time_us)


def copied(record: Record, append_time_us: int, event_id: str) -> Headers:
    """Return the headers of a copy of `record`: its own, where it lies now, and the event id that it keeps.

    `append_time_us`: when the event first came.
    """
    place = f"{record.topic}/{record.partition}/{record.offset}/{append_time_us}"
    kept = tuple(header for header in record.headers if header[0] not in (MOVED, EVENT_ID))
    return (*kept, (MOVED, place.encode()), (EVENT_ID, event_id.encode()))


def correction_of(record: Record) -> str | None:
    """Return what a record does to the event it names; None for one that tells of it. Raises Refused."""
    text = record.header(CORRECTION) if record.headers else None
    if text is not None and text not in ("replace", "withdraw"):
        raise Refused("malformed-correction", f"{text[:100]!r} is not replace or withdraw", field=CORRECTION)
    return text
