"""Targeted schedules of the settle model: each the shortest way to one danger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.unit.settle.model import INPUTS, RAW, Place, Rules
from tests.unit.settle.scheduler import Simulation, Task
from tests.unit.settle.variants import IN_FORCE

HERE, ELSEWHERE = Place(RAW, 0), Place(RAW, 1)


def owned(sim: Simulation, at: Place) -> Task:
    """Return the task that has the partition, giving it to process 0 where none has."""
    if sim.owner(at) is None:
        sim.spawn(at, 0)
    task = sim.owner(at)
    assert task is not None
    return task


def settled(sim: Simulation, *inputs: Place) -> None:
    """Let the owners work until nothing changes."""
    for at in inputs or INPUTS:
        owned(sim, at)
    sim.settle()


def until(sim: Simulation, task: Task, label: str) -> None:
    """Step a task until it says `label`, is idle or has ended."""
    while task in sim.tasks and sim.step(task) not in (label, "idle"):
        pass


def rollback_inside_a_batch(sim: Simulation) -> None:
    """The store loses a call of a batch whose last call is still to come."""
    for entity in (0, 2):
        sim.produce(entity)
    until(sim, owned(sim, HERE), "apply")  # entity 0 is written, entity 2 and the cursor are not
    sim.lose(HERE, 1)
    settled(sim)
    sim.crash(0)  # the cache hid the loss until now


def read_after_rollback(sim: Simulation) -> None:
    """A worker loads from a store that went back, and publishes before it writes."""
    for _ in range(2):
        sim.produce(0)
        settled(sim)
    sim.crash(0)
    until(sim, owned(sim, HERE), "assigned")
    sim.lose(HERE, 2)  # entity 0 and the cursor go back one event
    sim.produce(0)
    until(sim, owned(sim, HERE), "publish")


def flush_with_a_committed_offset(sim: Simulation) -> None:
    """The store is empty and the group has an offset."""
    sim.produce(0)
    settled(sim)
    sim.crash(0)
    sim.store.flush()
    sim.produce(0)


def rollback_while_idle(sim: Simulation) -> None:
    """The store goes back while nothing flows."""
    sim.produce(0)
    settled(sim)
    sim.lose(HERE, 2)


def replay_longer_than_the_horizon(sim: Simulation) -> None:
    """More copies are made again than an entity remembers ids."""
    for _ in range(6):
        sim.produce(0)
    until(sim, owned(sim, HERE), "acked")
    sim.crash(0)


def moves_longer_than_the_horizon(sim: Simulation) -> None:
    """More misplaced events are moved again than an entity remembers ids."""
    for _ in range(6):
        sim.produce(0, part=1)
    until(sim, owned(sim, ELSEWHERE), "acked")
    sim.crash(0)


def token_reached_by_another_writer(sim: Simulation) -> None:
    """A zombie and the owner come to the same count of calls."""
    sim.produce(0)
    settled(sim, HERE)
    for entity in (2, 0, 4):
        sim.produce(entity)
    zombie = owned(sim, HERE)
    until(sim, zombie, "apply")  # of three calls the first: entity 0
    sim.lose(HERE, 1)
    sim.rules = replace(sim.rules, batch_min=1)
    sim.rebalance(HERE, 1, zombie=True)
    until(sim, owned(sim, HERE), "apply")  # the owner's first call: entity 2
    until(sim, zombie, "cursor")
    for pid in (0, 1):
        sim.crash(pid)


def frozen_owner_wakes_after_a_takeover(sim: Simulation) -> None:
    """A zombie publishes copies of rows, and its first guarded write ends it."""
    for entity in (0, 2, 0, 2):
        sim.produce(entity)
    zombie = owned(sim, HERE)
    until(sim, zombie, "load")
    sim.rebalance(HERE, 1, zombie=True)
    until(sim, owned(sim, HERE), "commit")
    until(sim, zombie, "commit")


def trimmed_log(sim: Simulation) -> None:
    """The store is rebuilt from a log that begins within window and lateness of the committed offset's past."""
    for _ in range(30):
        sim.produce(0)
        settled(sim)
    sim.crash(0)
    sim.store.flush()
    sim.broker.first[HERE] = 12  # keeps 18 > window + lateness
    sim.produce(0)


def store_evicts_one_key(sim: Simulation) -> None:
    """A single key is lost: the cursor record cannot show it."""
    sim.produce(0)
    settled(sim)
    sim.crash(0)
    del sim.store.values[HERE, (0, "v")]
    sim.produce(0)


def replay_in_other_batches(sim: Simulation) -> None:
    """A replay cuts the log into other batches."""
    sim.produce(0, amount=0.1)
    settled(sim, HERE)
    for amount in (0.2, 0.3, 0.4, 0.5):
        sim.produce(0, amount=amount)
    until(sim, owned(sim, HERE), "acked")
    sim.crash(0)
    sim.rules = replace(sim.rules, batch_min=2, batch_max=2)


@dataclass(frozen=True, slots=True)
class Case:
    """A schedule under rules, and the checkers that must speak; none: nothing may be found."""

    schedule: Callable[[Simulation], None]
    rules: Rules
    speak: frozenset[str] = frozenset()


def _case(schedule: Callable[[Simulation], None], rules: Rules, speak: str = "") -> Case:
    return Case(schedule, rules, frozenset(speak.split()))


_TWO, _THREE, _FOUR = (replace(IN_FORCE, batch_min=n) for n in (2, 3, 4))
_SIX = replace(IN_FORCE, batch_min=6, batch_max=6)
_WINDOWED = replace(IN_FORCE, window=8)
CASES: Mapping[str, Case] = {
    "rollback inside a batch": _case(rollback_inside_a_batch, _TWO),
    "rollback inside a batch, no token": _case(rollback_inside_a_batch, replace(_TWO, token="none"), "C3"),
    "rollback inside a batch, one call": _case(rollback_inside_a_batch, replace(_TWO, token="none", one_call=True)),
    "read after rollback": _case(read_after_rollback, IN_FORCE),
    "read after rollback, no guard": _case(read_after_rollback, replace(IN_FORCE, guarded_load=False), "C1 C2"),
    "flush with a committed offset": _case(flush_with_a_committed_offset, IN_FORCE),
    "flush with a committed offset, start at the least": _case(
        flush_with_a_committed_offset, replace(IN_FORCE, start="least"), "C2 C3 C6"
    ),
    "rollback while idle": _case(rollback_while_idle, IN_FORCE),
    "rollback while idle, no check": _case(rollback_while_idle, replace(IN_FORCE, idle_check=False), "C3"),
    "replay longer than the horizon": _case(replay_longer_than_the_horizon, _SIX),
    "replay longer than the horizon, no marks": _case(replay_longer_than_the_horizon, replace(_SIX, marks=False), "C6"),
    "moves longer than the horizon": _case(moves_longer_than_the_horizon, _SIX),
    "moves longer than the horizon, no marks": _case(moves_longer_than_the_horizon, replace(_SIX, marks=False), "C5"),
    "token reached by another writer": _case(token_reached_by_another_writer, _THREE),
    "token reached by another writer, a count": _case(
        token_reached_by_another_writer, replace(_THREE, token="counted"), "C3"
    ),
    "frozen owner wakes after a takeover": _case(frozen_owner_wakes_after_a_takeover, _FOUR),
    "trimmed log, windowed": _case(trimmed_log, _WINDOWED),
    "trimmed log, a rebuild publishes again": _case(trimmed_log, replace(_WINDOWED, quiet=False), "C2 C7"),
    "trimmed log, unbounded aggregates: a limit": _case(trimmed_log, IN_FORCE, "C2 C3"),
    "store evicts one key: a limit, hence noeviction": _case(store_evicts_one_key, IN_FORCE, "C2 C3"),
    "replay in other batches": _case(replay_in_other_batches, _FOUR),
    "replay in other batches, sums per batch": _case(replay_in_other_batches, replace(_FOUR, sums="batch"), "C1 C2"),
}
