"""Walks of the settle model: random ones, their variants, and the smallest trace of one that fails."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from os import cpu_count

from tests.unit.settle.check import Finding, check
from tests.unit.settle.model import INPUTS, Rules
from tests.unit.settle.scheduler import Simulation

ACTIONS = 110


def walk(
    rules: Rules, *, seed: int | None = None, script: Sequence[int] | None = None
) -> tuple[Simulation, list[Finding]]:
    """Take one walk and return what the checkers say of it."""
    sim = Simulation(rules, seed=seed, script=script)
    for at in INPUTS:
        sim.spawn(at, sim.draw(sim.workers))
    loses_while_calm, at, calls = sim.chance(20), INPUTS[sim.draw(len(INPUTS))], 1 + sim.draw(4)
    actions = 0
    while actions < ACTIONS if script is None else len(sim.used) < len(script):
        sim.act()
        actions += 1
    ended = sim.settle()
    if ended and loses_while_calm:
        sim.lose(at, calls)
        ended = sim.settle()
    return sim, check(sim) if ended else [("C0", "no progress")]


def codes_of(rules: Rules, seed: int) -> tuple[int, frozenset[str]]:
    """Return the checkers that speak at a seed."""
    return seed, frozenset(code for code, _ in walk(rules, seed=seed)[1])


def found(rules: Rules, seeds: Iterable[int]) -> tuple[Counter[str], dict[str, int]]:
    """Walk the seeds on all cores; return how often each checker spoke, and first at which seed."""
    times: Counter[str] = Counter()
    first: dict[str, int] = {}
    with ProcessPoolExecutor(cpu_count()) as pool:
        for seed, codes in pool.map(partial(codes_of, rules), seeds, chunksize=50):
            times.update(codes)
            first |= {code: seed for code in codes if code not in first}
    return times, first


def shrunk(rules: Rules, seed: int, code: str) -> list[int]:
    """Delete and lower the choices of a walk while the checker still speaks."""

    def fails(script: list[int]) -> bool:
        return code in {c for c, _ in walk(rules, script=script)[1]}

    best = walk(rules, seed=seed)[0].used
    while (better := _lowered(_shortened(best, fails), fails)) != best:
        best = better
    return best


def _shortened(script: list[int], fails: Callable[[list[int]], bool]) -> list[int]:
    size = len(script) // 2
    while size:
        i = 0
        while i < len(script):
            shorter = script[:i] + script[i + size :]
            script, i = (shorter, i) if fails(shorter) else (script, i + size)
        size //= 2
    return script


def _lowered(script: list[int], fails: Callable[[list[int]], bool]) -> list[int]:
    for i in range(len(script)):
        for value in (0, script[i] // 2):
            lower = [*script[:i], value, *script[i + 1 :]]
            if value < script[i] and fails(lower):
                script = lower
    return script


def story(rules: Rules, seed: int) -> str:
    """Return the smallest trace of a failing walk, with what is wrong in the end."""
    code = sorted(codes_of(rules, seed)[1])[0]
    sim, findings = walk(rules, script=shrunk(rules, seed, code))
    return "\n".join([*sim.trace, *(f"  {code} {text}" for code, text in findings)])
