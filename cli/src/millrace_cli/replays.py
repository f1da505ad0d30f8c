"""A file's events on their way to ingest: in batches that can be sent again, and a note of how far they came."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import httpx
import msgspec
import tenacity

from millrace.spec import Deployment, FileSourceSpec, PipelineSpec
from millrace_common.errors import Misconfigured, Refused, Unavailable
from millrace_common.ids import h
from millrace_engine.cells import rfc3339, time_us
from millrace_engine.files import FileEvent
from millrace_ingest.core.pacing import Pace

BATCH_EVENTS_MAX = 500
"""Fewer than an entity's id horizon holds, so that a batch that is sent twice counts once."""
RETRY_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 30.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay came. It is written before each batch, so that a restart sends the open one again, the same."""

    acknowledged: int = 0
    """Events, from the first, that ingest has answered for."""
    sending: int = 0
    """Events including the batch that was sent last."""
    shift_us: int = 0
    is_done: bool = False
    file: str = ""
    format: int = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """The note of one replay. Its name covers the file's bytes and how they are read, so that it fits no other."""

    path: Path
    digest: str

    def read(self) -> Progress | None:
        """Return how far the replay came, None before its first batch; raises Misconfigured on a broken note."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{self.path}: {error}; delete it to replay the file from its start") from error

    def write(self, progress: Progress) -> None:
        """Replace the note, whole or not at all, and on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as file:
            file.write(msgspec.json.encode(progress))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


def journal(home: Path, file: Path, pipeline: PipelineSpec, *, is_rebased: bool) -> Journal:
    """Return where a replay of this file through this pipeline is noted; raises Misconfigured without the file."""
    try:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from error
    digest = h(content, pipeline.name, repr(pipeline.source), "rebased" if is_rebased else "as-recorded")
    return Journal(home / "ingest" / "replays" / f"{digest}.json", digest)


def source_of(deployment: Deployment, name: str | None) -> tuple[PipelineSpec, FileSourceSpec]:
    """Return the pipeline called `name`, by default the only one that reads files; raises Misconfigured."""
    readers = {pipeline.name: pipeline for pipeline in deployment.pipelines.values() if pipeline.source is not None}
    if name is None and len(readers) == 1:
        name = next(iter(readers))
    pipeline = readers.get(name or "")
    if pipeline is None or pipeline.source is None:
        said = f"pipeline {name} has no source" if name else "name a pipeline"
        raise Misconfigured(f"{said} (--pipeline); pipelines with one: {', '.join(sorted(readers)) or 'none'}")
    return pipeline, pipeline.source


@dataclass(frozen=True, slots=True)
class Lines:
    """Events as lines of JSON, their times shifted."""

    deployment: Deployment
    shift_us: int

    def of(self, events: Sequence[FileEvent]) -> bytes:
        """Return a batch's body: the same events give the same bytes."""
        return b"".join(msgspec.json.encode(self._event(event)) + b"\n" for event in events)

    def _event(self, event: FileEvent) -> Mapping[str, object]:
        if self.shift_us == 0:
            return {"type": event.type, **event.value}
        times = {field.name for field in self.deployment.events[event.type].fields if field.dtype == "datetime"}
        shifted = {
            name: rfc3339(time_us(value) + self.shift_us) if name in times and value is not None else value
            for name, value in event.value.items()
        }
        return {"type": event.type, **shifted}


@dataclass(frozen=True, slots=True)
class Timing:
    """When batches go out. `now_seconds` counts from anywhere, evenly."""

    pace: Pace
    now_seconds: Callable[[], float]
    sleep: Callable[[float], None]

    def batches(self, events: Iterable[FileEvent]) -> Iterator[list[FileEvent]]:
        """Return events that are due together, as they fall due, at most 500 of them."""
        started = self.now_seconds()
        batch: list[FileEvent] = []
        first_us = 0
        for index, event in enumerate(events):
            first_us = first_us if index else event.at_us
            due = started + self.pace.due_us(index, event.at_us, first_us=first_us) / 1e6
            wait_seconds = due - self.now_seconds()
            if batch and (wait_seconds > 0 or len(batch) == BATCH_EVENTS_MAX):
                yield batch
                batch = []
                wait_seconds = due - self.now_seconds()
            if wait_seconds > 0:
                self.sleep(wait_seconds)
            batch.append(event)
        if batch:
            yield batch


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends a batch until ingest has answered for it, for at most two minutes."""

    client: httpx.Client
    digest: str
    now_seconds: Callable[[], float]
    sleep: Callable[[float], None]

    def send(self, body: bytes, *, first: int) -> None:
        """Post a batch whose first event is number `first`; raises Unavailable, or Refused naming the event."""
        headers = {"Idempotency-Key": f"replay-{self.digest}-{first}", "Content-Type": "application/x-ndjson"}
        started = self.now_seconds()
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=tenacity.wait_exponential(multiplier=0.25, max=5.0),
            stop=lambda state: self.now_seconds() - started > RETRY_SECONDS_MAX,
            sleep=self.sleep,
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                self._post(body, headers, first)

    def _post(self, body: bytes, headers: Mapping[str, str], first: int) -> None:
        try:
            answer = self.client.post("/v1/events", content=body, headers=dict(headers), timeout=ANSWER_SECONDS_MAX)
        except httpx.TransportError as error:
            raise Unavailable(f"ingest does not answer at {self.client.base_url} ({error})") from error
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Unavailable(f"ingest: {answer.text[:500]}")
        if answer.status_code != httpx.codes.ACCEPTED:
            detail = f"in the batch from event {first} on: {answer.text[:1_000]}"
            raise Refused(f"http-{answer.status_code}", detail)


def send_all(
    events: Iterator[FileEvent], *, note: Journal, progress: Progress, lines: Lines, timing: Timing, sender: Sender
) -> Iterator[Progress]:
    """Send the events that follow `progress.acknowledged`, the open batch first and as it was; yield after each batch.

    Events are numbered from the file's first; `events` begins with number `progress.acknowledged`.
    """
    reopened = list(islice(events, progress.sending - progress.acknowledged))
    for batch in chain([reopened] if reopened else [], timing.batches(events)):
        progress = _sent(batch, note=note, progress=progress, lines=lines, sender=sender)
        yield progress


def closed(progress: Progress, *, is_done: bool) -> Progress:
    """Return the note of a replay that has no batch open."""
    return msgspec.structs.replace(progress, sending=progress.acknowledged, is_done=is_done)


def _sent(batch: Sequence[FileEvent], *, note: Journal, progress: Progress, lines: Lines, sender: Sender) -> Progress:
    first = progress.acknowledged
    opened = msgspec.structs.replace(progress, sending=first + len(batch))
    note.write(opened)
    sender.send(lines.of(batch), first=first)
    return msgspec.structs.replace(opened, acknowledged=opened.sending)
