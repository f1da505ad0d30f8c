"""Events in: checked, sent, and answered only once the broker has them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import structlog

from millrace.refusals import Parked, Refused
from millrace_common.errors import Unavailable, Unknown
from millrace_common.host import Host
from millrace_common.ids import sha256
from millrace_common.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from millrace_common.records import Outgoing
from millrace_engine.events import Events
from millrace_ingest.core.answers import Answers
from millrace_ingest.core.outgoing import Accepted, Request, accepted, record_of, refuse_future
from millrace_ingest.core.requests import KEY_CHARACTERS_MAX, Broken, Failure, events_in

log = structlog.get_logger()

SENDING_BYTES_MAX = 128 << 20
"""Requests beyond this are told to come again, while the broker is slow."""


class Answer(msgspec.Struct, frozen=True):
    """What the sender is told: each event's id and place, in the order sent."""

    accepted: list[Accepted]


@dataclass(slots=True)
class Ingest:
    """Takes a request whole or not at all: one refused event, and nothing of it is published."""

    host: Host
    events: Events
    answer_seconds_max: float
    answers: Answers = field(default_factory=Answers)
    taken: int = 0
    refused: int = 0
    sending_bytes: int = 0

    async def accept(self, body: bytes, request: Request) -> bytes:
        """Return the JSON of an Answer once the broker has every event of `body`.

        Raises Declined where the request is wrong; Unavailable where the broker gives no answer, Unknown where it may
        or may not have the events: the same request is then to be sent again, with the same ids.
        """
        digest = sha256(body)
        kept = self._kept(request, digest)
        if kept is not None:
            return kept
        records = self._records(events_in(body), request)
        if self.sending_bytes + len(body) > SENDING_BYTES_MAX:
            raise Unavailable(f"{self.sending_bytes} bytes wait for the broker already")
        self._keep(request, digest, None)
        self.sending_bytes += len(body)
        try:
            answer = await self._sent(records)
        finally:
            self.sending_bytes -= len(body)
        self._keep(request, digest, answer)
        return answer

    async def _sent(self, records: list[Outgoing]) -> bytes:
        try:
            async with asyncio.timeout(self.answer_seconds_max):
                positions = await self.host.publisher.publish(records)
        except TimeoutError as error:
            raise Unknown(f"the broker did not acknowledge within {self.answer_seconds_max:g} s") from error
        self.taken += len(records)
        for record in records:
            EVENTS_ACCEPTED.labels(dict(record.headers)["ce_type"].decode()).inc()
        return msgspec.json.encode(Answer([accepted(*sent) for sent in zip(records, positions, strict=True)]))

    def _records(self, values: list[bytes], request: Request) -> list[Outgoing]:
        records: list[Outgoing] = []
        failures: list[Failure] = []
        for index, value in enumerate(values):
            try:
                records.append(self._record(value, index, request))
            except (Refused, Parked) as refusal:
                failures.append(self._failure(value, index, refusal))
        if failures:
            self.refused += len(values)
            for failure in failures:
                EVENTS_REFUSED.labels(failure.reason).inc()
            log.info("request_refused", events=len(values), failures=len(failures), reason=failures[0].reason)
            raise Broken(failures, len(values))
        return records

    def _record(self, value: bytes, index: int, request: Request) -> Outgoing:
        event = self.events.check(value)
        refuse_future(event, now_us=self.host.clock.now_us())
        return record_of(event, value, index=index, request=request)

    def _failure(self, value: bytes, index: int, refusal: Refused | Parked) -> Failure:
        if isinstance(refusal, Parked):
            return Failure(index=index, field=None, reason="newer-version", detail=str(refusal))
        return Failure(
            index=index,
            field=refusal.field,
            reason=refusal.reason,
            detail=refusal.detail,
            event_id=_stated_id(value, {spec.spec.id_field for spec in self.events.contracts.values()}),
        )

    def _kept(self, request: Request, digest: str) -> bytes | None:
        if request.key is None:
            return None
        if len(request.key) > KEY_CHARACTERS_MAX:
            detail = f"{len(request.key)} characters; the limit is {KEY_CHARACTERS_MAX}"
            raise Broken([Failure(index=0, field="Idempotency-Key", reason="out-of-range", detail=detail)], 1)
        return self.answers.find(request.key, digest, now_us=self.host.clock.now_us())

    def _keep(self, request: Request, digest: str, answer: bytes | None) -> None:
        if request.key is not None:
            self.answers.keep(request.key, digest, answer, now_us=self.host.clock.now_us())

    def counts(self) -> Mapping[str, int]:
        """Return what the status page shows."""
        return {"events_accepted": self.taken, "events_refused": self.refused}


def _stated_id(value: bytes, names: set[str | None]) -> str | None:
    """Return what a refused event says its id is, to find it again by; None where it says nothing of use."""
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        stated = [msgspec.json.decode(members[name]) for name in sorted(filter(None, names)) if name in members]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return next((str(one)[:100] for one in stated if isinstance(one, str | int)), None)
