"""A team's own aggregates: whole, found by their name, and right on the sequences that they are tried on."""

import inspect

from millrace.checks.draft import Draft
from millrace.custom import (
    CELLS_MAX,
    PARAMETERS,
    VERBS,
    CustomAggregate,
    code_of,
    disagreement,
    import_path,
    resolve,
)
from millrace.mistakes import BROKEN
from millrace.places import Place


def custom_path(name: str, aggregate: object, place: Place, draft: Draft) -> str | None:
    """Return how the declaration names a team's own aggregate; None where it has mistakes, which are then told."""
    if not (isinstance(aggregate, type) and issubclass(aggregate, CustomAggregate)):
        mend = "give it a class: class Swing(CustomAggregate), agg.custom(Swing, Sale.amount)"
        draft.mistake(place, f"{name} is by {aggregate!r}, no aggregate", mend=mend)
        return None
    faults = [*_shape(aggregate), *_found(aggregate)]
    for what, mend in faults or _tried(aggregate):
        draft.mistake(place, f"{name}: {aggregate.__name__} {what}", mend=mend)
    return import_path(aggregate)


def _shape(aggregate: type[CustomAggregate]) -> list[tuple[str, str]]:
    faults = []
    cells = getattr(aggregate, "cells", None)
    if not isinstance(cells, int) or isinstance(cells, bool) or not 1 <= cells <= CELLS_MAX:
        faults.append((f"has cells {cells!r}", f"say how many numbers it keeps, 1 to {CELLS_MAX}: cells = 2"))
    for verb in VERBS:
        found = inspect.getattr_static(aggregate, verb)
        if verb in aggregate.__abstractmethods__:
            faults.append((f"has no {verb}", f"write @staticmethod def {verb}(...)"))
        elif not isinstance(found, staticmethod):
            faults.append((f"has a {verb} that is not static", f"write @staticmethod above {verb}"))
        elif len(inspect.signature(found.__func__).parameters) != PARAMETERS[verb]:
            faults.append((f"has a {verb} of other parameters", f"give it {PARAMETERS[verb]}, as CustomAggregate says"))
    return faults


def _found(aggregate: type[CustomAggregate]) -> list[tuple[str, str]]:
    """Return what keeps other processes from finding the same class under its name."""
    mend = "declare it at the top of a file that can be imported, whose name no other module bears"
    try:
        code_of(aggregate)
        same = resolve(import_path(aggregate)) is aggregate
    except BROKEN as error:
        return [(f"cannot be imported: {error}", mend)]
    return [] if same else [("is not what its import path names", mend)]


def _tried(aggregate: type[CustomAggregate]) -> list[tuple[str, str]]:
    try:
        found = disagreement(aggregate)
    except BROKEN as error:
        return [(f"raises {type(error).__name__}: {error}", "mend its verbs: they take any numbers, and none")]
    return [] if found is None else [(f"is not its oracle: {found}", "mend the verbs or the oracle")]
