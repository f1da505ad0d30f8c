"""The log: facts as one line each on stderr, JSON for machines or a console's form for people."""

import logging
import sys
from collections import Counter
from typing import Literal

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
_LOUD = ("aiokafka", "kafka", "faust", "mode", "uvicorn", "asyncio", "httpx", "httpcore")
"""Libraries whose own lines are shown from warning on, and not without end: Kafka's client says many times a second
that a broker is away."""
LINES_MAX = 20
PERIOD_SECONDS = 10.0


class Sparing(logging.Filter):
    """Lets through at most LINES_MAX lines of one logger of a library in a period; the last one says so."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = 0.0
        self._lines: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is shown."""
        if record.name.partition(".")[0] not in _LOUD:
            return True
        if not self._ends - PERIOD_SECONDS <= record.created < self._ends:
            self._ends = record.created + PERIOD_SECONDS
            self._lines.clear()
        self._lines[record.name] += 1
        if self._lines[record.name] == LINES_MAX:
            record.msg = f"{record.msg} (and more, left out for {PERIOD_SECONDS:g} s)"
        return self._lines[record.name] <= LINES_MAX


def configure(level: Level, form: Literal["json", "console"], **context: str) -> None:
    """Set up structlog and the standard library's logging alike; `context` stands in every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(form)),
    )
    handler.addFilter(Sparing())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**context)


def _renderers(form: Literal["json", "console"]) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "console":
        return [remove, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [remove, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
