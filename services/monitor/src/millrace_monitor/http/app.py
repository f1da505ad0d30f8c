"""Routes. The page is rendered here from the same status that programs read; nothing is fetched from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from millrace_monitor.core.feed import Feed
from millrace_monitor.core.status import Status
from millrace_monitor.core.watch import AlreadyAsked, UnknownModel
from millrace_monitor.http.page import render
from millrace_monitor.http.stream import stream

ALERTS_MAX = 1_000
_TYPES = {"js": "text/javascript", "css": "text/css", "txt": "text/plain"}
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Watching(Protocol):
    """What the routes ask."""

    @property
    def feed(self) -> Feed:
        """Return the alerts that were read back."""
        ...

    def status(self) -> Status:
        """Return what is known now."""
        ...

    async def train(self, model: str) -> str:
        """Ask for a new model and return the request's id; raises UnknownModel, AlreadyAsked."""
        ...


@dataclass(frozen=True, slots=True)
class Routes:
    """One method for each route."""

    monitor: Watching
    static: Mapping[str, bytes]

    async def page(self) -> HTMLResponse:
        """Show people how things stand."""
        return HTMLResponse(render(self.monitor.status(), self.monitor.feed), headers=_SAFE)

    async def asset(self, name: str) -> Response:
        """Return a file of the page."""
        if name not in self.static:
            raise HTTPException(404, f"no file {name!r}")
        media_type = _TYPES[name.rsplit(".", 1)[1]]
        return Response(self.static[name], media_type=media_type, headers={**_SAFE, "Cache-Control": "no-cache"})

    async def status(self) -> Response:
        """Tell programs how things stand."""
        return Response(msgspec.json.encode(self.monitor.status()), media_type="application/json")

    async def alerts(self, after: int = -1, limit: Annotated[int, Query(ge=1, le=ALERTS_MAX)] = ALERTS_MAX) -> Response:
        """List the alerts behind an offset, the oldest first."""
        return Response(_listed(self.monitor.feed.after(after, limit)), media_type="application/json")

    async def stream(
        self, after: int | None = None, last_event_id: Annotated[int | None, Header()] = None
    ) -> StreamingResponse:
        """Send the alerts behind an offset, then each new one."""
        start = next((one for one in (last_event_id, after) if one is not None), -1)
        events = stream(self.monitor.feed, start)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def train(self, model: str) -> JSONResponse:
        """Ask for a new model."""
        try:
            return JSONResponse({"request_id": await self.monitor.train(model)}, 202)
        except UnknownModel as error:
            raise HTTPException(404, str(error)) from error
        except AlreadyAsked as error:
            raise HTTPException(409, f"request {error} is open; wait for its end") from error


def app(monitor: Watching) -> FastAPI:
    """Return the monitor's HTTP side."""
    routes = Routes(monitor, _static())
    served = FastAPI(title="Millrace monitor", docs_url=None, redoc_url=None)
    served.add_exception_handler(HTTPException, _refused)
    served.add_exception_handler(RequestValidationError, _invalid)
    served.add_api_route("/", routes.page, response_class=HTMLResponse)
    served.add_api_route("/static/{name}", routes.asset)
    served.add_api_route("/v1/status", routes.status)
    served.add_api_route("/v1/alerts", routes.alerts)
    served.add_api_route("/v1/alerts/stream", routes.stream)
    served.add_api_route("/v1/models/{model}/train", routes.train, methods=["POST"], status_code=202)
    return served


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)


def _static() -> Mapping[str, bytes]:
    """Read the files that the page needs, all of them ours or vendored with their licence."""
    folder = files("millrace_monitor.http").joinpath("static")
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rsplit(".", 1)[-1] in _TYPES}


def _listed(alerts: Sequence[tuple[int, bytes]]) -> bytes:
    """Return alerts as a JSON list, each with its offset beside its own fields."""
    return b"[" + b",".join(b'{"offset":%d,%s' % (offset, value[1:]) for offset, value in alerts) + b"]"
