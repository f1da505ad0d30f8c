"""Feature groups in plain words and numbers: what each feature is, what it costs, and how exact it is."""

from typing import Any

from millrace.durations import text as duration
from millrace.groups import LAST_MAX
from millrace.spec import Deployment, EventSpec, FeatureSpec, GroupSpec
from millrace.wording import expression_text

Plain = dict[str, Any]  # JSON: its readers are people and their programs

CELL_BYTES = 8
HEADER_CELLS = 8
"""What a group's stored value takes before its features."""
EVENT_CELLS = 2
"""What an event takes that is kept as it came, before its arguments: its time and its id."""
EVENTS_EXACT = LAST_MAX
"""Events of an entity that are kept as they came; what is older lies in tiles."""
TILES_PER_WINDOW = 12
HALF_LIVES = 32
SKETCHES = {
    "distinct": "a window of more than 64 different values within 4.6 % (standard error)",
    "quantile": "in tiles within 1 % of the value, about twice that for each time 128 buckets do not hold their span",
}
"""What an aggregate loses that cannot be kept whole."""


def group_text(group: GroupSpec, deployment: Deployment) -> Plain:
    """Return a group as JSON knows it, with the bytes that it takes in the store."""
    event = deployment.events[group.event]
    columns = {expr for feature in group.features for expr in (feature.argument, feature.where) if expr is not None}
    own = group.by == event.entity_fields
    return {
        "name": group.name,
        "key": group.key,
        "event": group.event,
        "entity": group.entity_type,
        "reads": "raw-data" if own else f"raw-data.by-{group.entity_type}",
        "features": [feature_text(feature) for feature in group.features],
        "bytes_per_entity": CELL_BYTES * (HEADER_CELLS + (len(group.features) + 1) // 2),
        "bytes_per_event": CELL_BYTES * (EVENT_CELLS + len(columns)),
        "events_kept": _kept(group, event),
    }


def feature_text(feature: FeatureSpec) -> Plain:
    """Return a feature as JSON knows it: what it is, over what, and how exact.

    >>> feature_text(FeatureSpec("n_24h", "count", None, 86_400_000_000))["exact"]
    'up to 64 events in the window, then edge <= 2h'
    """
    tile_us = _tile_us(feature)
    return {
        "name": feature.name,
        "what": _what(feature),
        "where": None if feature.where is None else expression_text(feature.where),
        "window": _window(feature),
        "include_current": feature.include_current,
        "tile": None if tile_us is None else duration(tile_us),
        "exact": _exact(feature, tile_us),
        "sketch": SKETCHES.get(feature.op) if tile_us is not None else None,
    }


def _what(feature: FeatureSpec) -> str:
    name = feature.custom.partition(":")[2] if feature.custom else feature.op
    details = [
        "" if feature.argument is None else expression_text(feature.argument),
        "" if feature.q is None else f"{feature.q:g}",
        "" if feature.half_life_us is None else f"half-life {duration(feature.half_life_us)}",
        f"{feature.n} back" if feature.op == "last" else "",
    ]
    return f"{name}({', '.join(detail for detail in details if detail)})"


def _window(feature: FeatureSpec) -> str | None:
    if feature.events is not None:
        return f"last {feature.events} events"
    return None if feature.window_us is None else duration(feature.window_us)


def _tile_us(feature: FeatureSpec) -> int | None:
    """Return how long the tiles of a feature are; None where it looks at the newest events alone."""
    if feature.window_us is None or feature.op == "last":
        return None
    return max(1, feature.window_us // TILES_PER_WINDOW)


def _exact(feature: FeatureSpec, tile_us: int | None) -> str:
    if tile_us is None:
        return f"among the newest {EVENTS_EXACT} events"
    edge = f"of weight 2^-{HALF_LIVES}" if feature.half_life_us is not None else f"<= {duration(tile_us)}"
    return f"up to {EVENTS_EXACT} events in the window, then edge {edge}"


def _kept(group: GroupSpec, event: EventSpec) -> str:
    windows = [feature.window_us for feature in group.features if feature.window_us is not None]
    newest = f"the newest {EVENTS_EXACT}"
    if len(windows) < len(group.features):
        return newest
    return f"{newest} of {duration(max(windows))} and {duration(event.lateness_us)} of lateness"
