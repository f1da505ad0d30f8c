"""The scheduler of the settle model: it draws every choice from one list of small integers.

So a walk is a seed, replays exactly, and is shrunk by deleting integers; 0 always means "nothing special happens".
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.unit.settle.model import INPUTS, PARTITIONS, RAW, Broker, Event, Exit, Place, Row, Rules, State, Store, home
from tests.unit.settle.worker import Worker

ROUNDS_MAX = 6_000
QUIET_ROUNDS = 12


@dataclass(slots=True, eq=False)
class Task:
    """A running worker; a zombie goes on although its partition was given away."""

    pid: int
    at: Place
    steps: Iterator[str]
    is_zombie: bool = False


class Simulation:
    """Processes, a broker and a store, driven step by step."""

    def __init__(
        self, rules: Rules, *, seed: int | None = None, script: Sequence[int] | None = None, workers: int = 0
    ) -> None:
        self.rules, self.broker, self.store = rules, Broker(), Store()
        self.rng, self.script, self.used, self.is_silent = random.Random(seed), script, list[int](), False
        self.tasks: list[Task] = []
        self.sending: dict[tuple[int, int], dict[Place, tuple[int, list[Event | Row]]]] = {}
        self.caches: dict[tuple[int, Place], dict[int, State]] = defaultdict(dict)
        self.changed = self.uids = self.clock = 0
        self.trace: list[str] = []
        self.workers = workers or 1 + self.draw(3)

    # --- choices -----------------------------------------------------------------------------------------------------
    def draw(self, n: int) -> int:
        """Return a number below n, from the script where there is one."""
        if n <= 1 or self.is_silent:
            return 0
        i = len(self.used)
        value = self.rng.randrange(n) if self.script is None else (self.script[i] if i < len(self.script) else 0) % n
        self.used.append(value)
        return value

    def chance(self, percent: int) -> bool:
        """Say yes that often."""
        return self.draw(100) >= 100 - percent

    def uid(self) -> int:
        """Return a number that no other incarnation has."""
        self.uids += 1
        return self.uids

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(text)

    # --- what happens ------------------------------------------------------------------------------------------------
    def append(self, to: Place, message: Event | Row) -> None:
        """Let a message arrive on a log."""
        self.broker.log[to].append(replace(message, losses=self.store.losses) if isinstance(message, Row) else message)
        self.changed += 1

    def produce(
        self, entity: int, merchant: int = 0, time: int | None = None, *, amount: float = 0.1, part: int | None = None
    ) -> None:
        """Let a producer send a new event, into the partition where it belongs unless told otherwise."""
        self.clock += 1
        event = Event(f"e{self.clock}", entity, merchant, self.clock if time is None else time, amount)
        self.put(event, home(entity) if part is None else part)

    def put(self, event: Event, part: int) -> None:
        """Append an event to raw-data."""
        self.append(Place(RAW, part), event)
        where = "" if home(event.entity) == part else "  MISPLACED"
        offset = len(self.broker.log[Place(RAW, part)]) - 1
        self.note(f"produce {event.id} of entity {event.entity} t={event.time} at {part}:{offset}{where}")

    def spawn(self, at: Place, pid: int) -> None:
        """Give a partition to a process."""
        self.broker.generation[at] += 1
        self.tasks.append(Task(pid, at, Worker(self, self.rules, at, pid).run()))

    def owner(self, at: Place) -> Task | None:
        """Return the task that the group says has the partition."""
        return next((task for task in self.tasks if task.at == at and not task.is_zombie), None)

    def step(self, task: Task) -> str | None:
        """Let a task take one step and return its label; None: its process has ended."""
        try:
            label = next(task.steps)
        except Exit as why:
            self.crash(task.pid, str(why))
            return None
        if label != "idle":
            self.note(f"p{task.pid}/{task.at}{' ZOMBIE' if task.is_zombie else ''} {label}")
        return label

    def crash(self, pid: int, why: str = "killed") -> None:
        """End a process. What it had on the wire may land later, in order."""
        self.note(f"p{pid} EXITS: {why}")
        self.changed += 1
        self.tasks = [task for task in self.tasks if task.pid != pid]
        for cached in [key for key in self.caches if key[0] == pid]:
            del self.caches[cached]
        for sender in [key for key in self.sending if key[0] == pid]:
            for to, (i, messages) in self.sending.pop(sender).items():
                if self.chance(50):
                    self.broker.in_flight.append((to, list(messages[i : i + 1 + self.draw(len(messages))])))

    def land(self, i: int) -> None:
        """Let the next message of a dead sender arrive."""
        to, messages = self.broker.in_flight[i]
        self.append(to, messages.pop(0))
        self.note(f"a late send lands in {to}")
        if not messages:
            self.broker.in_flight.pop(i)

    def rebalance(self, at: Place, pid: int, *, zombie: bool) -> None:
        """Give a partition to another process; as a zombie the old one does not notice."""
        old = self.owner(at)
        if old:
            self.note(f"{at} moves from p{old.pid} to p{pid}{', unnoticed' if zombie else ''}")
            old.is_zombie = zombie and old.pid != pid
            if not old.is_zombie:
                self.tasks.remove(old)
        self.spawn(at, pid)

    def lose(self, at: Place, calls: int) -> None:
        """Let the store lose the last calls of a slot."""
        self.note(f"STORE loses the last {calls} calls of {at}")
        self.store.lose(at, calls)

    # --- walks -------------------------------------------------------------------------------------------------------
    def act(self) -> None:
        """Do one thing at random."""
        die = self.draw(100)
        at = INPUTS[self.draw(len(INPUTS))] if die >= 84 else INPUTS[0]
        if die < 66:
            if self.tasks:
                self.step(self.tasks[self.draw(len(self.tasks))])
        elif die < 84:
            self._produce_something()
        elif die < 90:
            if not self.owner(at):
                self.spawn(at, self.draw(self.workers))
        elif die < 94:
            self.rebalance(at, self.draw(self.workers), zombie=self.chance(70))
        else:
            self._disturb(die, at)

    def _produce_something(self) -> None:
        old = [e for part in range(PARTITIONS) for e in self.broker.log[Place(RAW, part)] if isinstance(e, Event)]
        if old and self.chance(20):  # a producer's duplicate, in this or another partition
            self.put(replace(old[-1 - self.draw(len(old))], origin=None), self.draw(PARTITIONS))
            return
        entity, late = self.draw(3), self.draw(12) if self.chance(25) else 0
        merchant, time, amount = self.draw(2), max(0, self.clock + 1 - late), (1 + self.draw(9)) / 10
        self.produce(entity, merchant, time, amount=amount, part=home(entity + self.chance(25)))

    def _disturb(self, die: int, at: Place) -> None:
        if die < 96:
            self.crash(self.draw(self.workers))
        elif die < 98:
            self.lose(at, 1 + self.draw(4))
        elif die < 98 + self.chance(25):
            self.note("STORE FLUSHED")
            self.store.flush()
        elif self.broker.in_flight:
            self.land(self.draw(len(self.broker.in_flight)))
        else:
            for _ in range(25):  # a calm stretch: let backlogs drain
                for task in list(self.tasks):
                    if task in self.tasks:
                        self.step(task)

    def settle(self) -> bool:
        """End every disturbance and let the owners work until nothing changes; say whether that came to an end."""
        self.note("-- from here on nothing special happens --")
        self.is_silent, quiet = True, 0
        self.tasks = [task for task in self.tasks if not task.is_zombie]
        while self.broker.in_flight:
            self.land(0)
        for _ in range(ROUNDS_MAX):
            before = self.changed
            for at in INPUTS:
                self._step_owner(at)
            quiet = quiet + 1 if self.changed == before else 0
            if quiet > QUIET_ROUNDS:
                self.is_silent = False
                return True
        return False

    def _step_owner(self, at: Place) -> None:
        if not self.owner(at):
            self.spawn(at, INPUTS.index(at) % self.workers)
        owner = self.owner(at)
        assert owner is not None
        self.step(owner)
