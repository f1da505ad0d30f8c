"""A replay: each event once by effect, wherever it is interrupted."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import httpx
import pytest
from tests.fakes.ingest import PAYMENT, deployment

from millrace.spec import Column, Deployment, FileEventSpec, FileSourceSpec
from millrace_cli.replays import BATCH_EVENTS_MAX, Journal, Lines, Progress, Sender, Timing, closed, send_all
from millrace_common.errors import Misconfigured, Refused, Unavailable
from millrace_engine.cells import Cell
from millrace_engine.files import FileEvent, events_of
from millrace_ingest.core.pacing import Pace

DEPLOYMENT: Deployment = deployment(PAYMENT)
SOURCE = FileSourceSpec(
    (FileEventSpec("payment", {name: Column(name) for name in ("payment_id", "card", "amount", "ts")}),)
)
EVENTS = 1_203


class Killed(Exception):
    """The process ended here."""


def events(first: int) -> list[FileEvent]:
    """Return the events of a file from number `first` on."""
    rows: Iterator[dict[str, Cell]] = (
        {"payment_id": f"p{n}", "card": f"c{n % 9}", "amount": 1.0, "ts": f"2024-05-01T{n // 60:02}:{n % 60:02}:00Z"}
        for n in range(EVENTS)
    )
    return list(islice(events_of(SOURCE, DEPLOYMENT, rows), first, None))


@dataclass(slots=True)
class FakeIngest:
    """An ingest that remembers keys and bodies, and does at each request what `moods` says next."""

    moods: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    landed: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "refused":
            raise httpx.ConnectError("refused")
        if mood == "busy":
            return httpx.Response(503, json={"error": "later"})
        if mood == "bad":
            return httpx.Response(422, json={"error": "event 3: field amount: out-of-range"})
        key = request.headers["Idempotency-Key"]
        if self.bodies.setdefault(key, request.content) != request.content:
            return httpx.Response(409, json={"error": "another body"})
        self.landed += [json.loads(line)["payment_id"] for line in request.content.splitlines()]
        if mood == "killed":
            raise Killed
        return httpx.Response(202, json={"accepted": []})


@dataclass(slots=True)
class Clock:
    """A clock that sleeping moves."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(seconds)
        self.seconds += seconds


def run(note: Journal, ingest: Callable[[httpx.Request], httpx.Response], *, pace: Pace | None = None) -> Progress:
    """Replay what the note says is left, and close it."""
    clock = Clock()
    progress = note.read() or Progress()
    with httpx.Client(base_url="http://ingest", transport=httpx.MockTransport(ingest)) as client:
        reached = send_all(
            iter(events(progress.acknowledged)),
            note=note,
            progress=progress,
            lines=Lines(DEPLOYMENT, progress.shift_us),
            timing=Timing(pace or Pace(), clock.now, clock.sleep),
            sender=Sender(client, note.digest, clock.now, clock.sleep),
        )
        for progress in reached:
            assert progress.acknowledged <= EVENTS
    note.write(closed(progress, is_done=True))
    return progress


@pytest.fixture
def note(tmp_path: Path) -> Journal:
    """The note of a replay that has not begun."""
    return Journal(tmp_path / "ingest" / "replays" / "x.json", "x")


def test_every_event_is_sent_once_in_order(note: Journal) -> None:
    """In batches of at most 500."""
    ingest = FakeIngest()

    assert run(note, ingest).acknowledged == EVENTS
    assert ingest.landed == [f"p{n}" for n in range(EVENTS)]
    assert [len(body.splitlines()) for body in ingest.bodies.values()] == [500, 500, 203]
    assert note.read() == Progress(acknowledged=EVENTS, sending=EVENTS, is_done=True)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_killed_replay_sends_the_open_batch_again_the_same(note: Journal, batch: int) -> None:
    """The same key and the same bytes, so that ingest or the id horizon takes it once; nothing is left out."""
    ingest = FakeIngest(moods=["well"] * batch + ["killed"])
    with pytest.raises(Killed):
        run(note, ingest)

    run(note, ingest)

    assert list(dict.fromkeys(ingest.landed)) == [f"p{n}" for n in range(EVENTS)]
    assert len(ingest.landed) - EVENTS <= BATCH_EVENTS_MAX
    assert len(ingest.bodies) == 3, "a batch that is sent again keeps its key"


def test_a_killed_paced_replay_keeps_the_open_batch(note: Journal) -> None:
    """Batches are cut by time then: the note, not the pace, says which events were open."""
    ingest = FakeIngest(moods=["well", "well", "killed"])
    with pytest.raises(Killed):
        run(note, ingest, pace=Pace(rate=100.0))
    before = dict(ingest.bodies)

    run(note, ingest)

    assert all(ingest.bodies[key] == body for key, body in before.items())
    assert list(dict.fromkeys(ingest.landed)) == [f"p{n}" for n in range(EVENTS)]


def test_an_ingest_that_is_away_for_a_while_is_waited_for(note: Journal) -> None:
    """A refused connection and a 503 are tried again, with growing pauses."""
    ingest = FakeIngest(moods=["refused", "busy", "refused", "busy"])

    run(note, ingest)

    assert ingest.landed == [f"p{n}" for n in range(EVENTS)]


def test_waiting_ends_after_two_minutes() -> None:
    """Then the command says so; the note lets it go on later."""
    ingest, clock = FakeIngest(moods=["refused"] * 500), Clock()
    client = httpx.Client(base_url="http://ingest", transport=httpx.MockTransport(ingest))
    with client, pytest.raises(Unavailable, match="ingest does not answer"):
        Sender(client, "x", clock.now, clock.sleep).send(b"{}", first=0)

    assert 120 < clock.seconds < 126
    assert max(clock.slept) == 5.0


def test_a_refused_event_stops_the_replay_and_is_named(note: Journal) -> None:
    """What ingest says is shown, with the number of the batch's first event."""
    with pytest.raises(Refused, match=r"from event 500 on.*amount"):
        run(note, FakeIngest(moods=["well", "bad"]))


def test_events_go_out_when_they_are_due() -> None:
    """At 60 event seconds per second an event a minute is one a second; those due together go together."""
    clock = Clock()
    timing = Timing(Pace(speed=60.0), clock.now, clock.sleep)

    batches = [(clock.seconds, len(batch)) for batch in timing.batches(islice(events(0), 5))]

    assert [size for _, size in batches] == [1] * 5
    assert [at for at, _ in batches] == pytest.approx([0, 1, 2, 3, 4])


def test_shifted_lines_move_every_time_and_nothing_else() -> None:
    """The value keeps its fields; the time field moves by the shift."""
    (first, *_) = events(0)

    line = json.loads(Lines(DEPLOYMENT, 3_600_000_000).of([first]))

    assert line == {"type": "payment", **first.value, "ts": "2024-05-01T01:00:00Z"}


def test_a_broken_note_says_how_to_mend_it(note: Journal) -> None:
    """It is never guessed at."""
    note.write(Progress())
    note.path.write_bytes(b"{")

    with pytest.raises(Misconfigured, match="delete it"):
        note.read()
