"""A stream's events to ingest over HTTP, at a steady rate, from a thread of its own."""

import itertools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from millrace.spec import Scalar
from millrace_common.clock import SystemClock
from millrace_common.errors import Refused, Unavailable

BATCH_EVENTS = 50
RETRY_SECONDS_MAX = 60.0

Sent = Mapping[str, Scalar]


@dataclass(slots=True)
class Feeder:
    """Posts events until told to stop; `failure` holds what ended it before its time."""

    url: str
    events: Iterable[Sent]
    events_per_second: int
    mark: Sent | None = None
    """The event whose sending is to be remembered."""
    sent: int = 0
    marked_us: int | None = None
    failure: Exception | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to post."""
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Post no more, and wait for the request that is under way."""
        self.stopping.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def is_done(self) -> bool:
        """Say whether there is nothing more to post."""
        return self._thread is not None and not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=30.0) as client:
                self._post_all(client)
        except (Unavailable, Refused) as failure:
            self.failure = failure

    def _post_all(self, client: httpx.Client) -> None:
        began, events = time.monotonic(), iter(self.events)
        while not self.stopping.is_set() and (batch := list(itertools.islice(events, BATCH_EVENTS))):
            for attempt in _retrying():
                with attempt:
                    _post(client, batch)
            self.sent += len(batch)
            if self.marked_us is None and self.mark in batch:
                self.marked_us = SystemClock().now_us()
            ahead_seconds = began + self.sent / self.events_per_second - time.monotonic()
            self.stopping.wait(max(0.0, ahead_seconds))


def _retrying() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(Unavailable),
        stop=stop_after_delay(RETRY_SECONDS_MAX),
        wait=wait_exponential(0.2, max=5.0),
        reraise=True,
    )


def _post(client: httpx.Client, batch: Sequence[Sent]) -> None:
    """Post a batch; sent again after an error it has the same ids, so that it counts once."""
    try:
        answer = client.post("/v1/events", content=b"\n".join(msgspec.json.encode(event) for event in batch))
    except httpx.HTTPError as error:
        raise Unavailable(f"ingest does not answer: {error}") from error
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Unavailable(answer.text)
    if answer.is_error:
        raise Refused("refused-events", answer.text)
