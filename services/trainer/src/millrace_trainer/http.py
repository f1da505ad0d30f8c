"""Runs listed and cancelled, models imported."""

from typing import Protocol

import msgspec
from fastapi import FastAPI, Request, Response

from millrace_common.bus import Publisher
from millrace_common.errors import Refused
from millrace_common.messages import Candidate
from millrace_common.service import Outcome
from millrace_trainer.core.plan import Course
from millrace_trainer.core.task import Given

STATUS = {"unknown-run": 404, "unknown-model": 404, "run-ended": 409, "too-large": 413}
BODY_BYTES_MAX = 256 << 20
ONNX_TYPES = ("application/octet-stream", "application/onnx", "application/x-onnx")


class Trainer(Protocol):
    """The handler behind the door."""

    def listed(self) -> list[Candidate]:
        """Return the latest word about the newest runs."""
        ...

    def cancel(self, run_id: str) -> Outcome:
        """Give a run its last word."""
        ...

    def bring(self, model: str, given: Given) -> tuple[Candidate, Outcome]:
        """Start the run that makes a brought model a candidate."""
        ...

    def course(self, model: str) -> Course:
        """Return a model's course."""
        ...


class Imports(Protocol):
    """Models from elsewhere."""

    async def fetch(self, uri: str) -> bytes:
        """Return the file at a path or URI."""
        ...

    async def take(self, data: bytes, *, columns: int) -> Given:
        """Check a model and store it."""
        ...


class ImportBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the model lies: a path on the trainer's machine or a URI."""

    uri: str


def app(trainer: Trainer, imports: Imports, publisher: Publisher) -> FastAPI:
    """Return the trainer's HTTP application."""
    api = FastAPI(title="Millrace trainer")

    @api.exception_handler(Refused)
    async def refused(_: Request, refusal: Refused) -> Response:
        return _json({"error": str(refusal)}, STATUS.get(refusal.reason, 422))

    @api.get("/v1/runs")
    async def runs() -> Response:
        return _json({"runs": trainer.listed()})

    @api.post("/v1/runs/{run_id}/cancel")
    async def cancel(run_id: str) -> Response:
        await _settle(publisher, trainer.cancel(run_id))
        return _json({"run_id": run_id, "status": "cancelled"})

    @api.post("/v1/models/{model}/import")
    async def bring(model: str, request: Request) -> Response:
        columns = len(trainer.course(model).spec.view.columns)
        given = await imports.take(await _model_in(request, imports), columns=columns)
        candidate, outcome = trainer.bring(model, given)
        await _settle(publisher, outcome)
        return _json({"run_id": candidate.run_id, "status": candidate.status, "digest": given.digest}, 202)

    return api


async def _model_in(request: Request, imports: Imports) -> bytes:
    body = await _body(request)
    if request.headers.get("content-type", "").split(";")[0].strip().lower() in ONNX_TYPES:
        return body
    try:
        where = msgspec.json.decode(body, type=ImportBody)
    except msgspec.DecodeError as error:
        text = f'send {{"uri": ...}} or the file as {ONNX_TYPES[0]}: {error}'
        raise Refused("import-unreadable", text, field="body") from error
    return await imports.fetch(where.uri)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise Refused("too-large", f"more than {BODY_BYTES_MAX} bytes", field="body")
    return bytes(body)


async def _settle(publisher: Publisher, outcome: Outcome) -> None:
    """Do what the runner does with an outcome: publish, then apply."""
    if outcome.publish:
        await publisher.publish(outcome.publish)
    await outcome.apply()


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
