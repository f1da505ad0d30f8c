"""The oracle itself, against exact windows where they must agree, and within a tile of them where they need not."""

from hypothesis import given, settings
from tests.unit.oracles.exact import ExactGroup
from tests.unit.oracles.logs import EVENTS, GROUPS, STREAMS, UNSHRUNK, WINDOWED, Stream
from tests.unit.oracles.windows import RING, TILES, Oracle, narrowed, window_of


@settings(max_examples=15, phases=UNSHRUNK)
@given(STREAMS)
def test_up_to_64_events_are_exact(stream: Stream) -> None:
    """An entity with no more events than a ring holds has exact windows."""
    log = stream.log()
    oracle, exact = Oracle(GROUPS, EVENTS), [ExactGroup(spec) for spec in GROUPS]
    for logged in [logged for logged in log if logged.entity == "a" and logged.event.type == "payment"][:RING]:
        event = logged.event
        expected = {group.spec.key: group.values(event.time_us, event) for group in exact}
        row = oracle.step(EVENTS[event.type], event)
        if row.verdict != "counted":
            continue
        for key, values in row.groups.items():
            for name, value in values.items():
                if not name.startswith(("sum", "mean", "var", "std", "ratio", "decayed")):
                    assert value == narrowed(expected[key][name]), name
        for group in exact:
            group.enter(event)


@settings(max_examples=15, phases=UNSHRUNK)
@given(STREAMS)
def test_a_count_is_wrong_by_no_more_than_a_tile(stream: Stream) -> None:
    """What left the ring counts in whole tiles: at least the events of the window, at most those of a tile more."""
    log = stream.log()
    oracle, exact = Oracle((WINDOWED,), EVENTS), ExactGroup(WINDOWED)
    counts = [feature for feature in WINDOWED.features if feature.op == "count" and not feature.include_current]
    for event in [logged.event for logged in log if logged.entity == "a" and logged.event.type == "payment"]:
        row = oracle.step(EVENTS[event.type], event)
        if row.verdict != "counted":
            continue
        is_newest = event.time_us == oracle.newest["payment"]
        for feature in counts:
            window_us = window_of(feature)
            assert window_us is not None
            tile_us = max(window_us // TILES, 1)
            least, found = exact.values(event.time_us)[feature.name], row.groups[WINDOWED.key][feature.name]
            most = sum(
                event.time_us - window_us - tile_us <= past.time_us < event.time_us
                for past in exact.entries
                if past.taken[WINDOWED.features.index(feature)] is not None
            )
            assert isinstance(found, int)
            assert least is not None
            assert least <= found
            assert not is_newest or found <= most
        exact.enter(event)
