"""The settle protocol, model-checked: what the rules promise holds, and each of them is needed.

`pytest --matrix=whole tests/unit/settle` takes every variant's walks; without it a seeded subset.
"""

import pytest
from tests.unit.settle.cases import CASES
from tests.unit.settle.check import CHECKERS, check
from tests.unit.settle.scheduler import Simulation
from tests.unit.settle.variants import SOUND, UNSOUND
from tests.unit.settle.walks import codes_of, found, story, walk

SUBSET_WALKS = 150
WHOLE_WALKS, WHOLE_WALKS_UNSOUND = 20_000, 3_000
HOUR_SECONDS = 3_600


@pytest.fixture
def is_whole(request: pytest.FixtureRequest) -> bool:
    """Whether the whole matrix was asked for."""
    return bool(request.config.getoption("--matrix") == "whole")


@pytest.mark.timeout(HOUR_SECONDS)
@pytest.mark.parametrize("name", SOUND)
def test_sound_rules_lose_nothing_and_double_nothing(name: str, is_whole: bool) -> None:
    """Kills, zombies, rebalances, lost acknowledgements, a store that goes back: every checker stays silent."""
    rules = SOUND[name]
    if is_whole:
        first = found(rules, range(WHOLE_WALKS))[1]
        assert not first, story(rules, min(first.values()))
        return
    for seed in range(SUBSET_WALKS):
        findings = walk(rules, seed=seed)[1]
        assert not findings, story(rules, seed)


@pytest.mark.timeout(HOUR_SECONDS)
@pytest.mark.parametrize("name", UNSOUND)
def test_a_rule_taken_away_and_a_planted_mistake_are_found(name: str, is_whole: bool) -> None:
    """Each is found by the checkers named for it, so each rule is needed and each checker can fail."""
    unsound = UNSOUND[name]
    for code, seed in unsound.seeds.items():
        assert code in codes_of(unsound.rules, seed)[1]
    if is_whole:
        times, _ = found(unsound.rules, range(WHOLE_WALKS_UNSOUND))
        assert set(unsound.seeds) <= set(times)


@pytest.mark.parametrize("name", CASES)
def test_targeted_schedules_end_as_they_must(name: str) -> None:
    """The shortest way to each danger: under the rules in force nothing is found, with a rule taken away it is."""
    case = CASES[name]
    sim = Simulation(case.rules, script=[], workers=2)
    case.schedule(sim)
    findings = check(sim) if sim.settle() else [("C0", "no progress")]
    codes = {code for code, _ in findings}
    trace = "\n".join([*sim.trace, *map(str, findings)])
    if case.speak:
        assert case.speak <= codes, trace
    else:
        assert not codes, trace


def test_every_checker_but_progress_speaks_somewhere() -> None:
    """A checker that no mistake wakes proves nothing."""
    assert {code for unsound in UNSOUND.values() for code in unsound.seeds} == set(CHECKERS) - {"C0"}


def test_walks_are_not_idle() -> None:
    """The walks do meet kills, losses, zombies and repeated sends: a run in which nothing happens proves nothing."""
    traces = ["\n".join(walk(SOUND["the rules in force"], seed=seed)[0].trace) for seed in range(60)]
    for word in ("EXITS: killed", "EXITS: write refused", "EXITS: load", "EXITS: idle check", "EXITS: commit refused",
                 "ZOMBIE", "STORE loses", "STORE FLUSHED", "MISPLACED", "a late send lands"):  # fmt: skip
        assert any(word in trace for trace in traces), word


def test_a_walk_replays_from_its_choices() -> None:
    """A seed's list of choices gives the same walk, which is what shrinking stands on."""
    rules = UNSOUND["R3: the id horizon in another call"].rules
    sim, findings = walk(rules, seed=2)
    again, found_again = walk(rules, script=sim.used)
    assert (again.trace, found_again) == (sim.trace, findings)
    smallest = story(rules, 2)
    assert "EXITS" in smallest
    assert len(smallest.splitlines()) < len(sim.trace)
