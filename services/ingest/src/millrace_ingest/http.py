"""`POST /v1/events`: one JSON object, a JSON list, or JSON lines; the content type is not looked at."""

from typing import Protocol

import msgspec
from fastapi import FastAPI, Request, Response

from millrace_common.errors import Unavailable, Unknown
from millrace_ingest.core import outgoing
from millrace_ingest.core.requests import BODY_BYTES_MAX, Broken, Declined, TooLarge

RETRY_SECONDS = 1


class Intake(Protocol):
    """What takes events in."""

    async def accept(self, body: bytes, request: outgoing.Request) -> bytes:
        """Return the JSON answer once the broker has every event of `body`; raises Declined, Unavailable, Unknown."""
        ...


def app(intake: Intake) -> FastAPI:
    """Return the intake's route."""
    api = FastAPI(title="Millrace ingest", docs_url="/docs", redoc_url=None)

    @api.post("/v1/events", status_code=202)
    async def post_events(request: Request) -> Response:
        try:
            body = await _body(request)
            told = outgoing.Request(request.headers.get("idempotency-key"), request.headers.get("traceparent"))
            answer = await intake.accept(body, told)
        except Broken as broken:
            return _json({"error": str(broken), "failures": broken.failures}, broken.status)
        except TooLarge as large:
            return _json({"error": str(large)}, large.status, {"Connection": "close"})
        except Declined as declined:
            return _json({"error": str(declined)}, declined.status)
        except (Unavailable, Unknown) as silence:
            error = f"the broker gave no answer; send the same request again: {silence}"
            return _json({"error": error}, 503, {"Retry-After": str(RETRY_SECONDS)})
        return Response(answer, 202, media_type="application/json")

    return api


async def _body(request: Request) -> bytes:
    """Return the body; raises TooLarge before more than the limit was read."""
    stated = request.headers.get("content-length", "0")
    if stated.isascii() and stated.isdecimal() and int(stated) > BODY_BYTES_MAX:
        raise TooLarge(f"body: {stated} bytes; the limit is {BODY_BYTES_MAX}")
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > BODY_BYTES_MAX:
            raise TooLarge(f"body: over {BODY_BYTES_MAX} bytes, which is the limit")
    return bytes(read)


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")
