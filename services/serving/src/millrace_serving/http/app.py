"""The whole app: the edge for the hot paths, FastAPI behind it for docs and what an operator asks."""

from typing import Any

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException as StarletteHTTPException

from millrace_common.service import Asgi
from millrace_serving.core.inference import InferRequest, InferResponse
from millrace_serving.core.requests import Answer, Ask
from millrace_serving.http.answers import Answers
from millrace_serving.http.edge import Edge, Predictor
from millrace_serving.http.oip import Slots

ANSWERS_MAX, ANSWER_BYTES_MAX = 10_000, 64 << 20
_SCHEMAS = "#/components/schemas/{name}"
_HOT = (
    ("/v1/models/{model}/predict", Ask, Answer, "Predict by entity; features come from the online store."),
    ("/v2/models/{model}/infer", InferRequest, InferResponse, "Open Inference Protocol; JSON tensors."),
)


def build_app(predictor: Predictor, slots: Slots, *, version: str, requests_max: int) -> Asgi:
    """Return the app of one process."""
    return Edge(predictor, slots, Answers(ANSWERS_MAX, ANSWER_BYTES_MAX), _admin(slots, version), requests_max, version)


def _admin(slots: Slots, version: str) -> FastAPI:
    app = FastAPI(title="Millrace serving", version=version)

    @app.exception_handler(StarletteHTTPException)
    async def refuse(request: Request, error: StarletteHTTPException) -> Response:
        return _json({"error": error.detail}, status=error.status_code)

    @app.get("/v1/models")
    async def models() -> Response:
        """List what answers for each model, and why a version in force is not loaded."""
        return _json({"models": [slot.state for slot in slots.values()]})

    @app.get("/v1/models/{model}")
    async def one(model: str) -> Response:
        """Show what answers for one model."""
        if model not in slots:
            raise HTTPException(404, f"{model[:100]!r}; known: {', '.join(sorted(slots))}")
        return _json(slots[model].state)

    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way to extend its document
    return app


def _json(value: object, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document with the hot paths, which FastAPI does not see."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        kinds = [kind for _, asked, answered, _ in _HOT for kind in (asked, answered)]
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_SCHEMAS)
        for at, (path, _, _, summary) in enumerate(_HOT):
            document["paths"][path] = {"post": _operation(summary, path, schemas[2 * at], schemas[2 * at + 1])}
        document.setdefault("components", {}).setdefault("schemas", {}).update(components)
        app.openapi_schema = document
    return app.openapi_schema


def _operation(summary: str, path: str, asked: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": path.rsplit("/", 1)[-1],
        "parameters": [
            {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {
            "200": {"description": "The answer", "content": {"application/json": {"schema": answered}}},
            "default": {"description": 'Refused or failed: {"error": "<text naming the field>"}'},
        },
    }
