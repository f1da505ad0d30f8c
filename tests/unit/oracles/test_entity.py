"""The engine against its slow oracle, over every way in which events come."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.features.deployment import SECOND
from tests.unit.oracles.logs import CORRECTED, EVENTS, GROUPS, STREAMS, UNSHRUNK, WINDOWED, Logged, Stream
from tests.unit.oracles.stored import digest, opened
from tests.unit.oracles.tables import Driven, Rows, expected
from tests.unit.oracles.windows import RING, Oracle, Past

from millrace.spec import Deployment, Scalar
from millrace_engine.entity import compile_entity

DEPLOYMENT = Deployment(EVENTS, {group.name: group for group in GROUPS}, {}, {}, "0" * 32)
CARD = compile_entity(DEPLOYMENT, "card")


def batches(log: list[Logged], seed: int) -> Iterator[list[Logged]]:
    """Cut a log at random places."""
    rng, at = random.Random(seed), 0
    while at < len(log):
        n = rng.choice((1, 2, 10, 100, 1_000))
        yield log[at : at + n]
        at += n


def different(found: Rows, wanted: Rows) -> dict[str, tuple[Scalar, Scalar]]:
    """Return the features that are not the same, to the last bit and by their type: what was found, what is right."""
    assert found.keys() == wanted.keys()
    return {
        name: (found[key][name], value)
        for key, values in wanted.items()
        for name, value in values.items()
        if repr(found[key][name]) != repr(value)
    }


def hold(driven: Driven, oracles: dict[str, Oracle], batch: list[Logged]) -> None:
    """Assert that the engine says of a batch what the oracle says, to the last bit."""
    for (verdict, rows), (wanted, groups), logged in zip(
        driven.step(batch), expected(oracles, CARD, batch), batch, strict=True
    ):
        assert verdict == wanted, logged
        assert different(rows, groups) == {}, logged


def hold_rings(driven: Driven, oracles: dict[str, Oracle]) -> None:
    """Assert that the store holds the oracle's rings, and nothing of entities of which nothing counted."""
    known = {name: oracle for name, oracle in oracles.items() if oracle.counted}
    assert driven.store.keys() == known.keys()
    for name, oracle in known.items():
        for of_group, value in zip(oracle.groups, driven.store[name][1:], strict=True):
            ring = [(entry.time_us, digest(entry.event_id)) for entry in of_group.ring]
            assert (opened(value, features=len(of_group.spec.features)).ring if value else []) == ring


@settings(max_examples=25, phases=UNSHRUNK)
@given(STREAMS, st.integers(0, 2**16))
def test_rows_are_those_of_the_oracle(stream: Stream, seed: int) -> None:
    """In order, shuffled, doubled or late, however batches are cut: each verdict and row is the oracle's."""
    log = stream.log()
    driven, oracles = Driven(CARD), dict[str, Oracle]()
    for batch in batches(log, seed):
        hold(driven, oracles, batch)


@settings(max_examples=20, phases=UNSHRUNK)
@given(STREAMS, st.integers(0, 2**16))
def test_rows_are_those_of_the_oracle_over_restarts_and_evictions(stream: Stream, seed: int) -> None:
    """State that comes back from the store goes on as if it had never left memory."""
    log = stream.log()
    driven, oracles, rng = Driven(CARD), dict[str, Oracle](), random.Random(seed)
    for batch in batches(log, seed):
        hold(driven, oracles, batch)
        match rng.choice(("restart", "evict", "go on")):
            case "restart":
                driven.restart()
            case "evict":
                driven.evict(rng.choice((0, 1, 2)))


@settings(max_examples=25, phases=UNSHRUNK)
@given(CORRECTED, st.integers(0, 2**16))
def test_corrections_are_those_of_the_oracle(stream: Stream, seed: int) -> None:
    """Replaced and withdrawn, once or again, held or not, over restarts and evictions: verdict, row and rings."""
    log = stream.log()
    driven, oracles, rng = Driven(CARD), dict[str, Oracle](), random.Random(seed)
    for batch in batches(log, seed):
        hold(driven, oracles, batch)
        hold_rings(driven, oracles)
        match rng.choice(("restart", "evict", "go on")):
            case "restart":
                driven.restart()
            case "evict":
                driven.evict(rng.choice((0, 1, 2)))


def test_what_went_into_tiles_before_a_correction_is_stored() -> None:
    """An event that is replaced by an older one than what has just left the ring hides no tile from the store."""

    def paid(number: int, second: int, how: str | None = None) -> Logged:
        fields: dict[str, Scalar] = {"amount": float(number), "merchant": "m"}
        return Logged("a", Past(f"a{number}", "payment", 1_700_000_000 * SECOND + second * SECOND, fields, how))

    driven, oracles = Driven(CARD), dict[str, Oracle]()
    hold(driven, oracles, [paid(i, i) for i in range(200)])
    hold(driven, oracles, [paid(200, 200), paid(170, 130, "replace")])
    driven.restart()
    hold(driven, oracles, [paid(201, 201)])


def test_streams_correct_in_every_way() -> None:
    """The streams above have corrections of each outcome, also of busy entities: the checks have something to check."""
    found = Counter[str]()
    for seed in range(3):
        log = Stream(seed, "shuffled", 0.2, ((300, SECOND // 3), (70, 3_000)), corrected=0.2).log()
        found.update(verdict for verdict, _ in Driven(CARD).step(log))
    assert min(found[verdict] for verdict in ("corrected", "withdrawn", "not-held", "duplicate")) > 20, found


@settings(max_examples=15, phases=UNSHRUNK)
@given(STREAMS | CORRECTED, st.integers(0, 2**16))
def test_the_stored_bytes_do_not_depend_on_how_batches_were_cut(stream: Stream, seed: int) -> None:
    """One batch, many batches, restarts between them: the same bytes in the store."""
    log = stream.log()
    whole, parts, rng = Driven(CARD), Driven(CARD), random.Random(seed)
    whole.step(log)
    for batch in batches(log, seed):
        parts.step(batch)
        if rng.random() < 0.3:
            parts.restart()
    assert parts.store == whole.store


@settings(max_examples=10, phases=UNSHRUNK)
@given(STREAMS | CORRECTED, st.integers(0, 2**16))
def test_a_log_read_again_changes_nothing(stream: Stream, seed: int) -> None:
    """Events below an entity's offset are skipped on replay: counted before, applied or judged the same now."""
    log = stream.log()
    driven = Driven(CARD)
    verdicts = [verdict for verdict, _ in driven.step(log)]
    stored = {name: list(values) for name, values in driven.store.items()}
    driven.restart()
    driven.offset = 0
    again = [verdict for batch in batches(log, seed) for verdict, _ in driven.step(batch)]
    told = ("counted", "corrected", "withdrawn")
    assert {now for then, now in zip(verdicts, again, strict=True) if then in told} <= {"applied"}
    assert driven.store == stored


@settings(max_examples=15, phases=UNSHRUNK)
@given(STREAMS | CORRECTED, st.integers(0, 200_000_000))
def test_the_store_answers_as_the_oracle_at_any_later_time(stream: Stream, after_us: int) -> None:
    """What is stored is right at every time from the newest event on, without being written again."""
    log = stream.log()
    driven, oracles = Driven(CARD), dict[str, Oracle]()
    driven.step(log)
    expected(oracles, CARD, log)
    for name, oracle in oracles.items():
        _, *values = driven.store[name]
        for group, of_oracle, value in zip(CARD.groups, oracle.groups, values, strict=True):
            newest = oracle.newest.get(group.spec.event)
            if newest is None:
                assert value is None
                continue
            for at_us in (newest + 1, newest + after_us):
                read = group.read(value, at_us)
                assert read.status == "fresh"
                assert different({"": read.values}, {"": of_oracle.values(at_us)}) == {}


@pytest.mark.parametrize("shape", ["burst", "one instant", "an hour apart"])
def test_a_key_with_many_events_is_that_of_the_oracle(shape: str) -> None:
    """Fifteen hundred events of one key, most of them in tiles."""
    rng, time_us, log = random.Random(shape), 1_700_000_000_000_000, []
    for i in range(1_500 if shape == "burst" else 300):
        time_us += {"burst": rng.randint(0, 30_000), "one instant": 0, "an hour apart": 3_600_000_000}[shape]
        late_us = rng.choice((0, 0, 5_000_000))
        fields: dict[str, Scalar] = {"amount": rng.lognormvariate(3, 2), "merchant": f"m{rng.randrange(300)}"}
        log.append(Logged("a", Past(f"a{i}", "payment", time_us - late_us, fields)))
    driven, oracles = Driven(CARD), dict[str, Oracle]()
    for batch in batches(log, 1):
        hold(driven, oracles, batch)
    tiles = [tile for group in oracles["a"].groups if group.spec == WINDOWED for tile in group.tiles]
    assert any(tiles) or len(log) <= RING or shape == "an hour apart"
