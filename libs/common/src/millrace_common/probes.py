"""What every service answers over HTTP in front of its own app: /live, /ready, /status and /metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from millrace_common.bus.standing import Standing
from millrace_common.metrics import READY
from millrace_common.service import Asgi

_JSON = b"application/json"
Answer = tuple[int, bytes, bytes]
"""Status, content type, body."""


@dataclass(slots=True)
class Probes:
    """An ASGI app in front of the service's. It answers from the moment the process listens."""

    service: str
    instance: str
    deployment: str
    standing: Callable[[], Standing]
    counts: Callable[[], Mapping[str, int]] = dict
    app: Asgi | None = None
    stopping: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a probe, or hand the request to the service's app."""
        answer = _ANSWERS.get(scope.get("path", "")) if scope["type"] == "http" else None
        if answer is not None:
            await _respond(send, answer(self))
        elif self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _respond(send, _json(404, {"error": f"{self.service} has no {scope['path']}"}))

    def reason(self) -> str | None:
        """Return why the service is not ready; None: it is."""
        if self.stopping:
            return "stopping"
        standing = self.standing()
        return None if standing.ready.is_set() else f"waiting for {standing.waiting_for}"


def _live(probes: Probes) -> Answer:
    return _json(200, {"live": True})


def _ready(probes: Probes) -> Answer:
    reason = probes.reason()
    READY.labels(probes.service).set(reason is None)
    return _json(200 if reason is None else 503, _who(probes))


def _who(probes: Probes) -> dict[str, object]:
    reason = probes.reason()
    return {
        "service": probes.service,
        "instance": probes.instance,
        "deployment": probes.deployment,
        "ready": reason is None,
    } | ({} if reason is None else {"reason": reason})


def _status(probes: Probes) -> Answer:
    partitions = [
        {"topic": at.topic, "partition": at.partition, "position": position, "end": end}
        for at, position, end in sorted(probes.standing().places())
    ]
    return _json(200, _who(probes) | {"partitions": partitions, "counts": dict(probes.counts())})


def _metrics(probes: Probes) -> Answer:
    probes.standing().measure()
    return 200, CONTENT_TYPE_LATEST.encode(), generate_latest()


_ANSWERS: Mapping[str, Callable[[Probes], Answer]] = {
    "/live": _live,
    "/ready": _ready,
    "/status": _status,
    "/metrics": _metrics,
}


def _json(status: int, body: Mapping[str, object]) -> Answer:
    return status, _JSON, msgspec.json.encode(body)


async def _respond(send: Any, answer: Answer) -> None:
    status, content_type, body = answer
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
