"""How a process ends: 70 for a crash by rule, to be restarted; 78 for what a person must mend."""

import os
import sys
from asyncio import CancelledError
from types import TracebackType
from typing import NoReturn

import structlog
from pydantic import ValidationError

from millrace.mistakes import PipelineMistakes
from millrace_common.codec import NewerVersion
from millrace_common.errors import EXIT_CONFIGURATION, EXIT_CRASH, DataGap, MillraceError, Misconfigured

log = structlog.get_logger()

MENDABLE = (Misconfigured, DataGap, PipelineMistakes, NewerVersion, ValidationError)


class ExitOnError:
    """A context that no error leaves: the process ends at once, with its code and its reason.

    Nothing is closed on the way, because closing may hang on what just failed; the log is replayed after the restart.
    A cancellation passes: who cancelled has the reason, and raises it further out.
    """

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, SystemExit | CancelledError):
            _end(error)


def _end(error: BaseException) -> NoReturn:
    if isinstance(error, MENDABLE):
        log.error("process_refuses_to_run", kind=type(error).__name__, exit=EXIT_CONFIGURATION)
        sys.stderr.write(f"{error}\n")
        code = EXIT_CONFIGURATION
    else:
        expected = isinstance(error, MillraceError)
        log.error(
            "process_crashes", kind=type(error).__name__, reason=str(error), exit=EXIT_CRASH,
            exc_info=None if expected else error,
        )  # fmt: skip
        code = EXIT_CRASH
    sys.stderr.flush()
    os._exit(code)
