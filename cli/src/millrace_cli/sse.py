"""Server-sent events, read line by line."""

from collections.abc import Iterable, Iterator


def events(lines: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each event's id and data; comments and other fields are passed over.

    >>> list(events(["id: 7", "data: a", "data: b", "", ": ping", "", "data: c", ""]))
    [('7', 'a\\nb'), ('7', 'c')]
    """
    last_id: str | None = None
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield last_id, "\n".join(data)
            data = []
        elif name == "id":
            last_id = value
        elif name == "data":
            data.append(value)
