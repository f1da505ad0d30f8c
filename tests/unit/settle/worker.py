"""A features worker of the settle model: one partition of one process, from assignment to death.

It is a generator. Each `yield` is a place where the process may be killed, frozen (a zombie that goes on after its
partition was given away) or overtaken.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.unit.settle.model import (
    LATE,
    RAW,
    ROWS,
    SIDE,
    Cursor,
    Event,
    Exit,
    Key,
    Origin,
    Place,
    Row,
    Rules,
    State,
    Stored,
    StoredHorizon,
    StoredValues,
    features,
    home,
    key_of,
    single,
)

if TYPE_CHECKING:
    from tests.unit.settle.scheduler import Simulation

Batch = list[tuple[int, Event]]


def start_of(rules: Rules, cursor: int | None, committed: int | None, *, first: int) -> int:
    """Return the offset to begin at."""
    starts = {
        "cursor": [cursor],
        "least": [cursor, committed],
        "least-or-zero": [cursor or 0, committed],
        "committed": [committed],
    }[rules.start]
    return max(min([s for s in starts if s is not None], default=0), first)


@dataclass(slots=True)
class Decision:
    """What a batch comes to: the entities' states, those that changed, messages by place, marks.

    `batch_from` is how many entries of an entity's ring are older than the batch.
    """

    states: dict[int, State]
    batch_from: dict[int, int]
    marks: dict[int, int]
    outputs: dict[Place, list[Event | Row]] = field(default_factory=lambda: defaultdict(list))
    dirty: list[int] = field(default_factory=list)


class Worker:
    """One partition of one process."""

    def __init__(self, sim: "Simulation", rules: Rules, at: Place, pid: int) -> None:
        self.sim, self.rules, self.at, self.pid = sim, rules, at, pid
        self.calls = 0

    def run(self) -> Iterator[str]:
        """Live: poll, load, decide, publish, apply, commit, again and again."""
        self._take_over()
        yield "assigned"
        while True:
            batch = self._poll()
            if not batch:
                self._check_idle()
                yield "idle"
                continue
            yield "poll"
            end = batch[-1][0] + 1
            if self.rules.bug == "commit-first":
                yield self._commit(end)
            states = self._load(batch)
            yield "load"
            decision = self._decide(batch, states)
            yield from self._effects(decision, end)
            if not self.sim.chance(30):  # commits may be rarer than batches
                yield self._commit(end)
            self.position = end
            if self.sim.chance(20):
                self.cache.clear()  # clean entries are evicted

    def _take_over(self) -> None:
        broker, store = self.sim.broker, self.sim.store
        self.generation, self.uid = broker.generation[self.at], self.sim.uid()
        self.guard, committed = store.cursors.get(self.at), broker.committed.get(self.at)
        cursor = self.guard.offset if self.guard else None
        self.position = start_of(self.rules, cursor, committed, first=broker.first[self.at])
        self.cache: dict[int, State] = {} if self.rules.drop_cache else self.sim.caches[self.pid, self.at]
        self.quiet_below = (committed or 0) if self.rules.quiet else 0
        self.is_guarded = self.rules.bug != "no-guard"
        self.sim.note(f"p{self.pid}/{self.at} starts at {self.position} (cursor {cursor}, committed {committed})")

    def _poll(self) -> Batch:
        count = self.rules.batch_min + self.sim.draw(self.rules.batch_max - self.rules.batch_min + 1)
        found = self.sim.broker.log[self.at][self.position : self.position + count]
        return [(self.position + i, event) for i, event in enumerate(found) if isinstance(event, Event)]

    def _check_idle(self) -> None:
        if self.rules.idle_check and self.is_guarded and self.sim.store.cursors.get(self.at) != self.guard:
            raise Exit("idle check: the store is not as this process left it")

    def _commit(self, offset: int) -> str:
        self.sim.broker.commit(self.at, offset, self.generation)
        return "commit"

    def _load(self, batch: Batch) -> dict[int, State]:
        """Return the batch's entities; what the cache lacks is read in one atomic call, with the guard in it."""
        store, topic = self.sim.store, self.at.topic
        keys = {key_of(topic, e) for _, e in batch if topic == SIDE or home(e.entity) == self.at.partition}
        missing = keys - self.cache.keys()
        if self.rules.guarded_load and self.is_guarded and missing and store.cursors.get(self.at) != self.guard:
            raise Exit("load: the store is not as this process left it")
        for key in sorted(missing):
            values, horizon = store.values.get((self.at, (key, "v"))), store.values.get((self.at, (key, "h")))
            self.cache[key] = State(
                values if isinstance(values, StoredValues) else StoredValues(),
                horizon if isinstance(horizon, StoredHorizon) else StoredHorizon(),
            )
        return {key: self.cache[key] for key in keys}

    # --- decide: pure ------------------------------------------------------------------------------------------------
    def _decide(self, batch: Batch, states: dict[int, State]) -> Decision:
        lengths = {key: len(state.values.ring) for key, state in states.items()}
        decision = Decision(states, lengths, dict(self.guard.marks if self.guard else ()))
        for offset, event in batch:
            if self.at.topic == RAW and home(event.entity) != self.at.partition:
                copy = replace(event, origin=(self.at.partition, offset))
                self._publish(decision, offset, Place(RAW, home(event.entity)), copy)
            elif self._is_new(decision, event):
                self._count(decision, offset, event)
        return decision

    def _publish(self, decision: Decision, offset: int, to: Place, message: Event | Row) -> None:
        if offset >= self.quiet_below:
            decision.outputs[to].append(message)

    def _is_new(self, decision: Decision, event: Event) -> bool:
        """Say whether a copy is not one that a replay of the hop before made again."""
        if event.origin is None or not self.rules.marks or self.rules.bug == "no-dedupe":
            return True
        partition, offset = event.origin
        if offset <= decision.marks.get(partition, -1):
            return False
        decision.marks[partition] = offset
        return True

    def _count(self, decision: Decision, offset: int, event: Event) -> None:
        key = key_of(self.at.topic, event)
        state = decision.states[key]
        if offset <= state.values.offset:
            return  # applied before, so its outputs were acknowledged
        if event.id in state.horizon.ids and not (event.origin and self.rules.bug == "no-dedupe"):
            return
        if event.time < state.horizon.newest - self.rules.lateness:
            self._publish(decision, offset, Place(LATE, self.at.partition), event)
            return
        values = features(state.values.ring, self.rules, event.time, batch_from=decision.batch_from[key])
        row = Row((self.at.topic, self.at.partition, offset), event.id, values)
        self._publish(decision, offset, Place(ROWS, self.at.partition), row)
        if self.at.topic == RAW:
            copy = replace(event, origin=(self.at.partition, offset))
            self._publish(decision, offset, Place(SIDE, home(event.merchant)), copy)
        decision.states[key] = self.cache[key] = self._advanced(decision, state, offset, event)
        decision.dirty.append(key)

    def _advanced(self, decision: Decision, state: State, offset: int, event: Event) -> State:
        newest = max(state.horizon.newest, event.time)
        ring = (*state.values.ring, (event.time, event.amount))
        if self.rules.window:
            kept = tuple(x for x in ring if x[0] >= newest - self.rules.lateness - self.rules.window)
            key = key_of(self.at.topic, event)
            decision.batch_from[key] = max(0, decision.batch_from[key] - (len(ring) - len(kept)))
            ring = kept
        ids = (*state.horizon.ids, event.id)[-self.rules.horizon :]
        ghost: tuple[Origin, ...] = (*state.values.ghost, (self.at.partition, offset))
        return State(StoredValues(offset, ring, ghost), StoredHorizon(offset, ids, newest))

    # --- effects -----------------------------------------------------------------------------------------------------
    def _effects(self, decision: Decision, end: int) -> Iterator[str]:
        if self.rules.bug == "state-first":
            yield from self._apply(decision, end)
            yield from self._send(decision)
            return
        yield from self._send(decision)
        if self.rules.bug == "commit-acked":
            yield self._commit(end)
        yield from self._apply(decision, end)

    def _send(self, decision: Decision) -> Iterator[str]:
        """Send to each place in source order; a lost acknowledgement sends again from any earlier message."""
        queues = {to: (0, messages) for to, messages in sorted(decision.outputs.items())}
        self.sim.sending[self.pid, self.uid] = queues
        while queues:
            to = sorted(queues)[self.sim.draw(len(queues))]
            i, messages = queues[to]
            self.sim.append(to, messages[i])
            yield "publish"
            i = self.sim.draw(i + 1) if self.sim.chance(6) else i + 1
            queues[to] = (i, messages)
            if i >= len(messages):
                del queues[to]
        del self.sim.sending[self.pid, self.uid]
        yield "acked"

    def _apply(self, decision: Decision, end: int) -> Iterator[str]:
        """Write the entities in calls of one or two; offset and marks move only in the last call (R3)."""
        steps = self._calls(decision, end)
        for number, (values, offset, marks) in enumerate(steps, 1):
            self.calls += 1
            new: Cursor | None = Cursor(offset, self._token(number, len(steps)), marks)
            if self.rules.token == "none" and values and not self.rules.one_call and self.rules.bug != "cursor-first":
                new = self.guard  # without a token a call for entities leaves the cursor as it is
            self.sim.store.write(self.at, self.guard, values, new, guard=self.is_guarded)
            self.sim.changed += 1
            self.guard = new
            yield "apply" if values and not self.rules.one_call else "cursor"

    def _token(self, number: int, calls: int) -> tuple[int, ...]:
        tokens: dict[str, tuple[int, ...]] = {
            "unique": (self.uid, self.calls),
            "counted": (number % calls,),
            "none": (),
        }
        return tokens[self.rules.token]

    def _calls(self, decision: Decision, end: int) -> list[tuple[dict[Key, Stored], int, tuple[Origin, ...]]]:
        todo = sorted(set(decision.dirty))
        marks = tuple(sorted(decision.marks.items()))
        if self.rules.one_call:
            return [(_packed(decision, todo, "vh", self.rules), end, marks)]
        size = 1 + self.sim.draw(2)
        halves = ["vh"] if self.rules.together else ["v", "h"]
        groups = [
            _packed(decision, todo[i : i + size], half, self.rules)
            for half in halves
            for i in range(0, len(todo), size)
        ]
        if self.rules.bug == "cursor-first":
            return [({}, end, marks), *((group, end, marks) for group in groups)]
        before = (self.guard.offset, self.guard.marks) if self.guard else (self.position, ())
        return [*((group, *before) for group in groups), ({}, end, marks)]


def _packed(decision: Decision, keys: list[int], halves: str, rules: Rules) -> dict[Key, Stored]:
    packed: dict[Key, Stored] = {}
    for key in keys:
        values, horizon = decision.states[key].values, decision.states[key].horizon
        if rules.sums == "f32":
            values = values._replace(ring=tuple((time, single(amount)) for time, amount in values.ring))
        if "v" in halves:
            packed[key, "v"] = values
        if "h" in halves:
            packed[key, "h"] = horizon
    return packed
