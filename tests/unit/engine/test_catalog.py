"""What the catalog says of the engine is what the engine does."""

from millrace import catalog
from millrace_engine import layout, sketches


def test_the_catalog_states_the_engine_s_bounds() -> None:
    """Events kept as they came, tiles of a window, and the bytes of a value are the engine's own numbers."""
    assert catalog.EVENTS_EXACT == layout.RING == sketches.HASHES_MAX
    assert catalog.TILES_PER_WINDOW == layout.TILES_PER_WINDOW
    assert catalog.HEADER_CELLS == layout.HEADER_CELLS
    assert f"{sketches.BUCKETS_MAX} buckets" in catalog.SKETCHES["quantile"]
