"""ASGI by hand: read a body up to a limit, send an answer."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from millrace_common.errors import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 1 << 20
_ENCODER = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")


class Gone(Exception):
    """The caller went away before its body was whole."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer on its way: a status, JSON, and the seconds after which to try again."""

    status: int
    body: bytes
    retry_seconds: int | None = None


def respond(status: int, value: object, *, retry_seconds: int | None = None) -> Response:
    """Return a value as an answer."""
    return Response(status, _ENCODER.encode(value), retry_seconds)


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header as text, None where it was not sent."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body, decompressed; raises Refused, Gone."""
    stated = header(scope, b"content-length")
    if stated is not None and stated.isdecimal() and int(stated) > BODY_BYTES_MAX:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):
            break
    return _decompressed(b"".join(chunks), header(scope, b"content-encoding"))


def _decompressed(body: bytes, encoding: str | None) -> bytes:
    if encoding in (None, "", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise Refused("bad-encoding", f"{encoding!r} is not gzip or deflate", field="Content-Encoding")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        whole = inflate.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise Refused("bad-encoding", f"the body is not {encoding}: {error}", field="Content-Encoding") from error
    if len(whole) > BODY_BYTES_MAX:
        raise _too_large()
    if not inflate.eof:
        raise Refused("bad-encoding", "the compressed body is cut short", field="Content-Encoding")
    return whole


def _too_large() -> Refused:
    return Refused("too-large", f"a body must not exceed {BODY_BYTES_MAX} bytes")


async def send_response(send: Send, response: Response) -> None:
    """Send an answer. The content type is exactly `application/json`: clients compare the whole header."""
    headers: Sequence[tuple[bytes, bytes]] = (_JSON, (b"content-length", str(len(response.body)).encode()))
    if response.retry_seconds is not None:
        headers = (*headers, (b"retry-after", str(response.retry_seconds).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
