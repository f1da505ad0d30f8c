"""What is wrong with a pipeline file: all of it at once, each with its line and its mend."""

from collections.abc import Sequence
from dataclasses import dataclass

BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a team's code may raise while it is loaded, to be told as a mistake."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing to mend in a team's file."""

    file: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        """Return two lines for people, the first as editors and compilers write it."""
        return f"{self.file}:{self.line}: {self.what}\n    mend: {self.mend}"


class PipelineMistakes(Exception):
    """A deployment that cannot be loaded. Its text lists every mistake, by file and line."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        count = f"{len(self.mistakes)} mistake{'s' if len(self.mistakes) > 1 else ''}"
        super().__init__(f"{count} in the pipeline\n" + "\n".join(map(str, self.mistakes)))
