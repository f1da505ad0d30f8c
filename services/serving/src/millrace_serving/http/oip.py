"""The Open Inference Protocol's answers about the server and its models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millrace_common.errors import Refused, Unavailable
from millrace_serving.core.inference import FEATURES, OUTPUTS
from millrace_serving.core.slots import Active, Slot
from millrace_serving.http.wire import Response, respond

Slots = Mapping[str, Slot]
PLATFORM = "onnx_onnxv1"
RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """What a path below `/v2` names."""

    model: str | None
    version: str | None
    rest: tuple[str, ...]


def place_of(path: str) -> Place:
    """Return what a path names.

    >>> place_of("/v2/models/fraud/versions/3/infer")
    Place(model='fraud', version='3', rest=('infer',))
    """
    parts = tuple(part for part in path.split("/") if part)[1:]
    if parts[:1] != ("models",) or len(parts) == 1:
        return Place(None, None, parts)
    model, rest = parts[1], parts[2:]
    if rest[:1] == ("versions",) and len(rest) > 1:
        return Place(model, rest[1], rest[2:])
    return Place(model, None, rest)


def answer(place: Place, method: str, slots: Slots, server_version: str) -> Response:
    """Answer everything but `infer`; raises Refused (`unknown-path`, `unknown-model`, `unknown-version`)."""
    if place.rest[:2] == ("repository", "models"):
        return respond(501, {"error": "models are loaded by promotions; see `millrace models`"})
    if place.model is not None:
        return _model(place, method, slots)
    known = _SERVER.get(place.rest)
    if known is None:
        raise Refused("unknown-path", "no such path; see /v2")
    wanted_method, answering = known
    return answering(slots, server_version) if method == wanted_method else wrong_method(wanted_method)


def wrong_method(allowed: str) -> Response:
    """Return the answer to a known path asked for in the wrong way."""
    return respond(405, {"error": f"only {allowed}"})


def _server(slots: Slots, server_version: str) -> Response:
    return respond(200, {"name": "millrace", "version": server_version, "extensions": ["model_repository"]})


def _live(slots: Slots, server_version: str) -> Response:
    return respond(200, {"live": True})


def _ready(slots: Slots, server_version: str) -> Response:
    ready = all(slot.active is not None for slot in slots.values())
    return respond(
        200 if ready else 503, {"ready": ready, "live": True}, retry_seconds=None if ready else RETRY_SECONDS
    )


def _models(slots: Slots, server_version: str) -> Response:
    return respond(200, {"models": sorted(slots)})


def _index(slots: Slots, server_version: str) -> Response:
    return respond(200, [_indexed(slots[name]) for name in sorted(slots)])


def _indexed(slot: Slot) -> dict[str, str]:
    failure = "" if slot.failure is None else slot.failure.text
    if slot.active is None:
        return {"name": slot.definition.name, "state": "UNAVAILABLE", "reason": failure or "no champion yet"}
    version = slot.active.arm.version
    return {"name": slot.definition.name, "version": version, "state": "READY", "reason": failure}


_SERVER: Mapping[tuple[str, ...], tuple[str, Callable[[Slots, str], Response]]] = {
    (): ("GET", _server),
    ("health", "live"): ("GET", _live),
    ("health", "ready"): ("GET", _ready),
    ("models",): ("GET", _models),
    ("repository", "index"): ("POST", _index),
}


def _model(place: Place, method: str, slots: Slots) -> Response:
    if place.rest not in ((), ("ready",)):
        raise Refused("unknown-path", "no such path; see /v2")
    if method != "GET":
        return wrong_method("GET")
    name = place.model or ""
    slot = slots.get(name)
    if slot is None:
        raise Refused("unknown-model", f"{name[:100]!r}; known: {', '.join(sorted(slots))}")
    active = _active(slot, place.version)
    return respond(200, {"name": name, "ready": True} if place.rest else _metadata(slot, active))


def _active(slot: Slot, version: str | None) -> Active:
    if slot.active is None:
        raise Unavailable("no champion yet; see millrace status")
    if version not in (None, slot.active.arm.version):
        raise Refused("unknown-version", f"{slot.definition.name} answers with version {slot.active.arm.version}")
    return slot.active


def _metadata(slot: Slot, active: Active) -> dict[str, object]:
    columns = slot.definition.columns
    return {
        "name": slot.definition.name,
        "versions": [active.arm.version],
        "platform": PLATFORM,
        "inputs": [
            {
                "name": FEATURES,
                "datatype": "FP32",
                "shape": [-1, len(columns)],
                "parameters": {"columns": ",".join(columns)},
            }
        ],
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS],
    }
