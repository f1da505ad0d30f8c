"""The page on what a team computes features with: aggregates, and transforms of expressions."""

import inspect
from collections.abc import Callable
from typing import get_args

from millrace import agg
from millrace.catalog import EVENTS_EXACT, SKETCHES, TILES_PER_WINDOW
from millrace.expressions import Expression
from millrace.spec import AggregateOp

TRANSFORMS: tuple[Callable[..., object], ...] = (
    Expression.fill,
    Expression.is_missing,
    Expression.log1p,
    Expression.clip,
    Expression.scale,
    Expression.bucketise,
    Expression.hash_bucket,
    Expression.category,
    Expression.one_hot,
)


def page() -> str:
    """Return the tables of aggregates and transforms as Markdown."""
    aggregates = "\n".join(_row("agg.", getattr(agg, name)) for name in get_args(AggregateOp))
    sketches = "\n".join(f"- `agg.{op}`: {error}." for op, error in SKETCHES.items())
    transforms = "\n".join(_row(".", method) for method in TRANSFORMS)
    return f"""# Aggregates and transforms

An aggregate is over windows of time, 1 s to 90 d, or over the entity's newest events, at most {EVENTS_EXACT}:
`agg.mean(Transaction.amount).over("1h", "24h", last=10)` makes the features `<name>_1h`, `<name>_24h`, `<name>_last10`.
A window `W` at an event of time `t` holds the entity's earlier events in `[t - W, t)`; `include_current=True` takes the
event in, `where` keeps the events for which it is true, and an event whose argument is missing is left out.

An entity's {EVENTS_EXACT} newest events are kept as they came, so a window of at most that many is exact. What is older
lies in tiles of a {TILES_PER_WINDOW}th of the window, and the tile that the window's far edge cuts counts whole. Two
aggregates lose more than that in tiles:

{sketches}

`millrace check` shows window, tile and error of each feature of a pipeline file.

| aggregate | what it is |
|---|---|
{aggregates}

A transform is of an expression: a field, a feature, or what is computed from them. It is defined once, and gives the
same 64-bit floats in an aggregate's argument, in training and when serving. What is made of something missing is
missing.

| transform | what it is |
|---|---|
{transforms}
"""


def _row(before: str, function: Callable[..., object]) -> str:
    text = " ".join(inspect.cleandoc(function.__doc__ or "").split())
    return f"| `{before}{function.__name__}({_parameters(function)})` | {text} |"


def _parameters(function: Callable[..., object]) -> str:
    """Return the parameters of a call, without those that all aggregates have."""
    common = ("self", "where", "include_current")
    kept = [one for name, one in inspect.signature(function).parameters.items() if name not in common]
    return ", ".join(map(_parameter, kept))


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"*{parameter.name}"
    named = "=" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else ""
    stated = parameter.default not in (inspect.Parameter.empty, None)
    return f"{parameter.name}={parameter.default}" if stated else f"{parameter.name}{named}"
