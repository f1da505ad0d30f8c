"""Where a team's file declares something, so that a mistake can be told with its line."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a team's file, and the names that file gives to what it declares."""

    file: str
    line: int
    names: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    def name_of(self, declared: object) -> str | None:
        """Return the variable that the file gave to `declared`; None where it has none."""
        return next((name for name, value in self.names.items() if value is declared), None)

    def __str__(self) -> str:
        """Return file and line as editors understand them."""
        return f"{self.file}:{self.line}"


def here() -> Place:
    """Return the innermost line that runs outside of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame) and frame.f_back is not None:
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_globals) if frame else Place("?", 0)


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name == "millrace" or name.startswith("millrace.")
