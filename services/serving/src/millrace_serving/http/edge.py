"""The hot paths: `predict` and the Open Inference Protocol, answered before any framework sees them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from millrace_common.errors import Refused, Unavailable
from millrace_common.metrics import SERVING_ANSWER_SECONDS, SERVING_ANSWERS
from millrace_common.service import Asgi
from millrace_serving.core.inference import InferRequest, InferResponse
from millrace_serving.core.requests import Answer, Ask
from millrace_serving.core.slots import ScoringFailed
from millrace_serving.http.answers import Answering, Answers
from millrace_serving.http.oip import Place, Slots, answer, place_of, wrong_method
from millrace_serving.http.wire import Gone, Receive, Response, Scope, Send, header, read_body, respond, send_response

T = TypeVar("T")
_ASK = msgspec.json.Decoder(Ask)
_INFER = msgspec.json.Decoder(InferRequest)
_RETRY_SECONDS = 1
_STATUS: Mapping[str, int] = {
    "unknown-model": 404,
    "unknown-version": 404,
    "unknown-path": 404,
    "features-missing": 409,
    "key-reused": 409,
    "too-large": 413,
    "not-json": 400,
    "bad-encoding": 400,
}
"""By a refusal's reason; others are the caller's values: 422 for predict, 400 for the protocol, which knows no 422."""


class Predictor(Protocol):
    """What answers."""

    async def predict(self, model: str, ask: Ask, *, prediction_id: str | None = None) -> Answer:
        """Answer a question by entity; raises Refused, Unavailable, ScoringFailed."""
        ...

    async def infer(
        self, model: str, version: str | None, request: InferRequest, *, prediction_id: str | None = None
    ) -> InferResponse:
        """Answer rows; raises Refused, Unavailable, ScoringFailed."""
        ...


@dataclass(slots=True)
class Edge:
    """Answers `POST /v1/models/{m}/predict` and `/v2`; hands everything else on."""

    predictor: Predictor
    slots: Slots
    answers: Answers
    beyond: Asgi
    requests_max: int
    server_version: str
    in_flight: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI app."""
        path: str = scope.get("path", "")
        is_predict = path.startswith("/v1/models/") and path.endswith("/predict")
        if scope["type"] != "http" or not (is_predict or path == "/v2" or path.startswith("/v2/")):
            await self.beyond(scope, receive, send)
            return
        started = time.perf_counter()
        kind = "predict" if is_predict else "infer" if path.endswith("/infer") else "v2"
        self.in_flight += 1
        try:
            response = await self._answered(kind, scope, receive)
        except Gone:
            return
        finally:
            self.in_flight -= 1
        SERVING_ANSWERS.labels(kind, str(response.status)).inc()
        SERVING_ANSWER_SECONDS.labels(kind).observe(time.perf_counter() - started)
        await send_response(send, response)

    async def _answered(self, kind: str, scope: Scope, receive: Receive) -> Response:
        if self.in_flight > self.requests_max:
            return _error(503, f"{self.requests_max} requests are in flight", retry=True)
        try:
            if kind == "predict":
                return await self._predict(scope, receive)
            place = place_of(scope["path"])
            if place.model is not None and place.rest == ("infer",):
                return await self._infer(place, place.model, scope, receive)
            return answer(place, scope["method"], self.slots, self.server_version)
        except Refused as refused:
            status = _STATUS.get(refused.reason, 422 if kind == "predict" else 400)
            return _error(status, f"{refused.field}: {refused.detail}" if refused.field else refused.detail)
        except Unavailable as unavailable:
            return _error(503, str(unavailable), retry=True)
        except ScoringFailed as failed:
            return _error(500, f"the model failed: {failed}")

    async def _predict(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return wrong_method("POST")
        model = scope["path"].removeprefix("/v1/models/").removesuffix("/predict")
        body = await read_body(scope, receive)
        ask = _decoded(_ASK, body)

        async def answering(prediction_id: str | None) -> Response:
            return respond(200, await self.predictor.predict(model, ask, prediction_id=prediction_id))

        return await self._once(scope, body, answering)

    async def _infer(self, place: Place, model: str, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return wrong_method("POST")
        body = await read_body(scope, receive)
        if header(scope, b"inference-header-content-length") is not None:
            raise Refused("binary", "binary tensors are not served: send JSON (binary_data=False)")
        request = _decoded(_INFER, body)

        async def answering(prediction_id: str | None) -> Response:
            return respond(200, await self.predictor.infer(model, place.version, request, prediction_id=prediction_id))

        return await self._once(scope, body, answering)

    async def _once(self, scope: Scope, body: bytes, answering: Answering) -> Response:
        key = header(scope, b"idempotency-key")
        if key is None:
            return await answering(None)
        return await self.answers.once(key, (scope["path"], body), answering)


def _error(status: int, text: str, *, retry: bool = False) -> Response:
    return respond(status, {"error": text}, retry_seconds=_RETRY_SECONDS if retry else None)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused("bad-body", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("not-json", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused("not-json", "the body is nested too deep") from error
