"""The lines of a service's log, from JSON to what people read."""

import msgspec

CONTEXT = ("service", "instance")
"""What each line of one log repeats."""


def readable(text: str, *, traces: bool = False) -> str:
    """Return log lines in their readable form; those that are no JSON of ours stay as they are.

    >>> readable('{"event": "process_stops", "level": "info", "timestamp": "2024-05-01T10:00:00.123456Z", "n": 1}')
    '10:00:00 info process_stops n=1'
    """
    return "\n".join(_readable(line, traces=traces) for line in text.splitlines())


def _readable(line: str, *, traces: bool) -> str:
    try:
        facts = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return line
    if "event" not in facts:
        return line
    at, level, event = (str(facts.pop(name, "")) for name in ("timestamp", "level", "event"))
    trace = facts.pop("exception", None)
    words = [at[11:19], level, event, *(f"{name}={value}" for name, value in facts.items() if name not in CONTEXT)]
    told = " ".join(word for word in words if word)
    return f"{told}\n{trace}" if traces and trace else told
