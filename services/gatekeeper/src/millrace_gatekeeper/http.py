"""The registry over HTTP: which models serve, how they came to, and the way back."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from fastapi import FastAPI, Request, Response

from millrace_common.errors import Fenced, Unavailable, Unknown
from millrace_common.messages import Person, Promotion
from millrace_common.registry import Effective
from millrace_gatekeeper.core.rollout import NothingToRollBackTo, UnknownModel, champion_of, champion_since_us

BODY_BYTES_MAX = 16_384
OPERATOR = Person(name="http", role="operator")
STATUS = {UnknownModel: 404, NothingToRollBackTo: 409, Fenced: 409, Unavailable: 503, Unknown: 503}


class Models(Protocol):
    """The registry, and the way back."""

    def models(self) -> Sequence[str]:
        """Return the names of all models."""
        ...

    def history(self, model: str) -> Sequence[Effective]:
        """Return the chain of a model, oldest first; raises UnknownModel."""
        ...

    async def roll_back(self, model: str, *, version: str | None, reason: str | None, actor: Person) -> Promotion:
        """Let an earlier champion answer, and return the step once it counts."""
        ...


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the registry knows it. `state` is where its newest step led; `none` before the first."""

    model: str
    version: str | None
    digest: str | None
    since_us: int | None
    epoch: int
    state: str


class ModelList(msgspec.Struct, frozen=True):
    """All models."""

    models: list[Model]


class ModelHistory(Model, frozen=True, kw_only=True):
    """A model and its effective steps, oldest first."""

    history: list[Promotion]


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rollback asks for: a version that served, by default the champion before; and why."""

    version: str | None = None
    reason: str | None = None


def app(models: Models) -> FastAPI:
    """Return the registry's routes."""
    api = FastAPI(title="Millrace gatekeeper", docs_url="/docs", redoc_url=None)

    @api.get("/v1/models")
    async def list_models() -> Response:
        return _json(ModelList([_model(name, models.history(name)) for name in models.models()]))

    @api.get("/v1/models/{model}")
    async def show_model(model: str) -> Response:
        try:
            chain = models.history(model)
        except UnknownModel as error:
            return _failed(404, str(error))
        facts = msgspec.structs.asdict(_model(model, chain))
        return _json(ModelHistory(**facts, history=[link.promotion for link in chain]))

    @api.post("/v1/models/{model}/rollback")
    async def roll_back(model: str, request: Request) -> Response:
        body = await request.body()
        if len(body) > BODY_BYTES_MAX:
            return _failed(413, f"body: {len(body)} bytes; the limit is {BODY_BYTES_MAX}")
        try:
            asked = msgspec.json.decode(body or b"{}", type=Rollback)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _failed(422, f"body: {error}")
        try:
            step = await models.roll_back(model, version=asked.version, reason=asked.reason, actor=OPERATOR)
        except tuple(STATUS) as error:
            return _failed(STATUS[type(error)], str(error))
        return _json(step)

    return api


def _model(name: str, chain: Sequence[Effective]) -> Model:
    arm = champion_of(chain)
    head = chain[-1].promotion if chain else None
    return Model(
        model=name,
        version=arm.version if arm else None,
        digest=arm.digest if arm else None,
        since_us=champion_since_us(chain),
        epoch=head.epoch if head else 0,
        state=head.to_state if head else "none",
    )


def _json(content: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")


def _failed(status: int, error: str) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(msgspec.json.encode({"error": error}), status, headers, media_type="application/json")
