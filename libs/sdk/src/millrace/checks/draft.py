"""What one load has found so far: the checked parts, each looked at once, and the mistakes."""

import re
from dataclasses import dataclass, field

from millrace import durations
from millrace.events import Event
from millrace.groups import FeatureGroup
from millrace.mistakes import Mistake
from millrace.models import Label
from millrace.places import Place
from millrace.spec import EventSpec, GroupSpec, LabelSpec

NAME = re.compile(r"[a-z][a-z0-9_]*")
CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")


@dataclass(slots=True)
class Draft:
    """The state of one load. None stands for a part whose mistakes are already told."""

    mistakes: list[Mistake] = field(default_factory=list)
    events: dict[type[Event], EventSpec | None] = field(default_factory=dict)
    groups: dict[type[FeatureGroup], GroupSpec | None] = field(default_factory=dict)
    labels: dict[Label, LabelSpec | None] = field(default_factory=dict)

    def mistake(self, place: Place, what: str, *, mend: str) -> None:
        """Note a mistake and go on."""
        self.mistakes.append(Mistake(place.file, place.line, what, mend))

    def duration(self, place: Place, text: str, *, of: str, least_us: int = 0) -> int:
        """Return a duration in microseconds; note a mistake and return the least where it is none, or too short."""
        if not self.is_a(place, text, str, of=of):
            return least_us
        try:
            duration_us = durations.microseconds(text)
        except ValueError as error:
            self.mistake(place, f"{of}: {error}", mend=f'give {of} a duration such as "10m"')
            return least_us
        if duration_us < least_us:
            self.mistake(place, f"{of} is {text}", mend=f"make {of} at least {durations.text(least_us)}")
        return max(duration_us, least_us)

    def is_a(self, place: Place, value: object, kind: type | tuple[type, ...], *, of: str) -> bool:
        """Return whether a value is of the kind that a declaration asks for; note a mistake where it is not."""
        if not isinstance(value, kind):
            first = kind if isinstance(kind, type) else kind[0]
            self.mistake(place, f"{of} is {value!r}", mend=f"make it of type {first.__name__}")
        return isinstance(value, kind)

    def is_event(self, place: Place, value: object, *, of: str) -> bool:
        """Return whether a value is an event class; note a mistake where it is none."""
        if isinstance(value, type) and issubclass(value, Event):
            return True
        self.mistake(place, f"{of} is {value!r}", mend="give it a class of events: class Sale(Event)")
        return False

    def name(self, place: Place, name: str, *, of: str) -> None:
        """Note a mistake where `name` cannot stand in topics, rows and Redis keys."""
        if not NAME.fullmatch(name):
            mend = "use lower-case letters, digits and `_`, beginning with a letter"
            self.mistake(place, f"{of} cannot be named `{name}`", mend=mend)

    def at_least(self, place: Place, value: float | None, least: float, *, of: str) -> None:
        """Note a mistake where a number is none, or below the least that makes sense."""
        if value is None or (isinstance(value, int | float) and value >= least):
            return
        if self.is_a(place, value, (int, float), of=of):
            self.mistake(place, f"{of} is {value}", mend=f"make {of} at least {least:g}")
