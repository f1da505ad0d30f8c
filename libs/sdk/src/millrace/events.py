"""Events: what producers send, as a contract."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from millrace.expressions import Expression
from millrace.files import FileEvent, FileExpression, FileOperand
from millrace.places import Place, here
from millrace.spec import Role

V = TypeVar("V", bound=str | int | float | bool | datetime | None)  # what a field may hold
K = TypeVar("K", bound=str | int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a field's declaration asks for, as written."""

    role: Role = "plain"
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    pii: Literal["hash"] | None = None
    dedupe: str = "24h"
    lateness: str = "0s"
    max_future: str = "30s"
    refers_to: "type[Event] | None" = None


class Field(Expression[V], Generic[V]):
    """A field of an event: on the class an expression, on an instance the value."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.terms = terms
        self.name = ""
        self.event: type[Event] | None = None

    def __set_name__(self, owner: "type[Event]", name: str) -> None:
        self.event, self.name = owner, name

    @overload
    def __get__(self, instance: None, owner: type) -> Expression[V]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> V: ...
    def __get__(self, instance: object | None, owner: type) -> Expression[V] | V:
        """Return the expression; an instance holds its values itself."""
        return self


def event_id(*, dedupe: str = "24h") -> Field[K]:
    """Name the event. A second event of the same id within `dedupe` counts once."""
    return Field(Terms(role="id", dedupe=dedupe))


def entity() -> Field[K]:
    """Say what the event is about: the key. Several entity fields make one compound key, in order."""
    return Field(Terms(role="entity"))


def event_time(*, lateness: str = "0s", max_future: str = "30s") -> Field[datetime]:
    """Say when it happened.

    An event up to `lateness` older than the newest of its entity still counts; one further than `max_future` ahead of
    the broker's clock is refused.
    """
    return Field(Terms(role="time", lateness=lateness, max_future=max_future))


def refers_to(event: "type[Event]") -> Field[K]:
    """Refer to an earlier event by its id; the event is keyed by it."""
    return Field(Terms(role="refers", refers_to=event))


def field(
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    pii: Literal["hash"] | None = None,
) -> Field[V]:
    """State the limits of a number, or that a text is personal and only its hash may be kept."""
    return Field(Terms(ge=ge, gt=gt, le=le, lt=lt, pii=pii))


@dataclass(frozen=True, slots=True)
class EventDeclaration:
    """What stands in the class line, and the fields of the body in order."""

    type: str
    version: int
    place: Place
    fields: Mapping[str, Field[Any]]


class Event:
    """One thing that happened. The fields of a subclass are the contract that every such event must keep.

    A field is annotated `Field[str]`, `int`, `float`, `bool` or `datetime`, `| None` where it may be absent. The type
    that producers state is the class name in snake case, or `type=`; `version=` counts the contract's changes.
    """

    __declared__: ClassVar[EventDeclaration]

    def __init_subclass__(cls, *, type: str | None = None, version: int = 1) -> None:
        super().__init_subclass__()
        annotated = list(vars(cls).get("__annotations__", {}))
        for name in annotated:
            if not name.startswith("_") and name not in vars(cls):
                plain: Field[str] = Field(Terms())
                setattr(cls, name, plain)
                plain.__set_name__(cls, name)
        names = dict.fromkeys([*annotated, *vars(cls)])
        fields = {name: vars(cls)[name] for name in names if isinstance(vars(cls).get(name), Field)}
        cls.__declared__ = EventDeclaration(type or snake_case(cls.__name__), version, here(), fields)

    def __init__(self, **values: object) -> None:
        unknown = values.keys() - self.__declared__.fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        for name in self.__declared__.fields:
            vars(self)[name] = values.get(name)

    @classmethod
    def from_file(cls, *, where: FileExpression | None = None, delay: str = "0s", **fields: FileOperand) -> FileEvent:
        """Say how a row of a file becomes this event: a value, a column or an expression for each field.

        Rows where `where` does not hold give none. The event happens `delay` after the time given; where none is
        given, after that of the row's first event.
        """
        return FileEvent(cls, fields, where, delay)


def snake_case(name: str) -> str:
    """Return a class name as a type name.

    >>> snake_case("PriceUp"), snake_case("HTTPCall")
    ('price_up', 'http_call')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
