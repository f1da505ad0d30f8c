"""The Open Inference Protocol over plain HTTP: paths, shapes, errors, as its real clients need them."""

import json
from typing import Any

import httpx
import pytest
from tests.fakes.serving.declared import COLUMNS, MODEL
from tests.fakes.serving.models import artifact, score_of
from tests.fakes.serving.stage import Stage, staged

from millrace_common.ids import h

BASE = f"/v2/models/{MODEL}"
ROWS: list[list[float | None]] = [[12.5, 0.0, 3.0, None, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]]
NAMES = [column.name for column in COLUMNS]


def whole(rows: list[list[float | None]] = ROWS, **more: object) -> dict[str, Any]:
    """Return a request with one tensor."""
    tensor = {"name": "features", "shape": [len(rows), 5], "datatype": "FP32", "data": rows}
    return {"inputs": [{**tensor, **more}]}


async def serving() -> Stage:
    """Return a service with version 3 of its model."""
    stage = await staged()
    await stage.promote_new("3", artifact(0.25))
    return stage


async def infer(stage: Stage, body: object, path: str = f"{BASE}/infer", **headers: str) -> httpx.Response:
    """Return the answer to an infer request."""
    async with stage.client() as client:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await client.post(path, content=content, headers=headers)


@pytest.mark.parametrize("ready", [False, True])
async def test_health_and_metadata(ready: bool) -> None:
    """Every path answers JSON with the exact content type; not ready is 503."""
    stage = await serving() if ready else await staged()
    paths = ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/", "/v2/models", BASE, f"{BASE}/ready")
    async with stage.client() as client:
        got = {path: await client.get(path) for path in paths}
        index = await client.post("/v2/repository/index")

    assert {response.headers["content-type"] for response in (*got.values(), index)} == {"application/json"}
    assert got["/v2/health/live"].json() == {"live": True}
    assert got["/v2/health/ready"].json() == {"ready": ready, "live": True}
    assert got["/v2"].json() == got["/v2/"].json()
    assert set(got["/v2"].json()) == {"name", "version", "extensions"}
    assert got["/v2/models"].json() == {"models": [MODEL]}
    assert index.json()[0]["state"] == ("READY" if ready else "UNAVAILABLE")
    states = [got[path].status_code for path in ("/v2/health/ready", BASE, f"{BASE}/ready")]
    assert states == ([200] * 3 if ready else [503] * 3)


async def test_a_models_metadata_says_what_to_send() -> None:
    """Name, versions as text, platform, inputs and outputs; by version only the one that answers."""
    stage = await serving()
    async with stage.client() as client:
        found = (await client.get(BASE)).json()
        same = (await client.get(f"{BASE}/versions/3")).json()
        ready = (await client.get(f"{BASE}/versions/3/ready")).json()
        other = await client.get(f"{BASE}/versions/2")
        unknown = await client.get("/v2/models/nobody")
        lost = await client.get(f"{BASE}/stats")
        load = await client.post(f"/v2/repository/models/{MODEL}/load")

    assert found == same
    assert (found["versions"], found["platform"]) == (["3"], "onnx_onnxv1")
    assert [(put["name"], put["datatype"], put["shape"]) for put in found["inputs"]] == [("features", "FP32", [-1, 5])]
    assert found["inputs"][0]["parameters"]["columns"] == ",".join(NAMES)
    assert [put["name"] for put in found["outputs"]] == ["score", "decision", "prediction_id"]
    assert ready == {"name": MODEL, "ready": True}
    assert [response.status_code for response in (other, unknown, lost, load)] == [404, 404, 404, 501]
    assert all(list(response.json()) == ["error"] for response in (other, unknown, lost, load))


async def test_rows_are_answered_in_order_and_each_is_recorded() -> None:
    """null is NaN; the id comes back; each row has its own prediction."""
    stage = await serving()

    response = await infer(stage, {**whole(), "id": "mine", "model_name": "ignored", "parameters": {"x": 1}})

    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert (body["model_name"], body["model_version"], body["id"]) == (MODEL, "3", "mine")
    outputs = {output["name"]: output for output in body["outputs"]}
    assert outputs["score"]["shape"] == [2]
    assert outputs["score"]["data"] == pytest.approx([score_of(0.25, row) for row in ROWS], abs=1e-6)
    assert outputs["decision"] == {"name": "decision", "shape": [2], "datatype": "BOOL", "data": [True, True]}
    kept = stage.predictions()
    assert [made.prediction_id for made in kept] == outputs["prediction_id"]["data"]
    assert kept[0].vector == tuple(ROWS[0])
    assert [(made.via, made.key) for made in kept] == [("infer", made.prediction_id) for made in kept]


async def test_no_id_is_invented() -> None:
    """`id` stands in the response only where the request has one."""
    assert "id" not in (await infer(await serving(), whole())).json()


async def test_one_tensor_a_column_is_the_same_as_one_for_all() -> None:
    """Clients of data frames send columns, as [n] or [n,1], in any order and of any number type."""
    stage = await serving()
    columns = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": [row[place] for row in ROWS]}
        for place, name in enumerate(NAMES)
    ]
    columns[2] = {"name": NAMES[2], "shape": [2, 1], "datatype": "INT64", "data": [[3], [3]]}

    one = await infer(stage, whole())
    many = await infer(stage, {"inputs": columns[::-1]})
    flat = await infer(stage, whole(data=[value for row in ROWS for value in row]))

    scores = [response.json()["outputs"][0]["data"] for response in (one, many, flat)]
    assert scores[0] == scores[1] == scores[2]


async def test_only_the_outputs_asked_for_are_sent() -> None:
    """`outputs` chooses; `binary_data_output` is answered in JSON."""
    request = {**whole(), "outputs": [{"name": "score"}], "parameters": {"binary_data_output": True}}

    body = (await infer(await serving(), request)).json()

    assert [output["name"] for output in body["outputs"]] == ["score"]


BAD: dict[str, tuple[object, str]] = {
    "no JSON": (b"{", "not JSON"),
    "no inputs": ({"id": "x"}, "inputs"),
    "empty inputs": ({"inputs": []}, "inputs"),
    "nested too deep": (b'{"x":' + b"[" * 100_000, "nested too deep"),
    "three levels": (whole(data=[[[1.0]]]), "data"),
    "wrong width": (whole(shape=[2, 4]), "inputs.features.shape"),
    "one dimension": (whole(shape=[10]), "inputs.features.shape"),
    "shape without data": (whole(shape=[3, 5]), "shape [3, 5] needs 15 values, data has 10"),
    "huge shape": (whole(shape=[10**18, 5]), "1 to 1000 rows"),
    "negative shape": (whole(shape=[-2, 5]), "1 to 1000 rows"),
    "no rows": (whole([]), "1 to 1000 rows"),
    "ragged rows": (whole(data=[[1.0] * 5, [1.0] * 4, [1.0]]), "a nested row of 4"),
    "half precision": (whole(datatype="FP16"), "FP16 is not taken in JSON"),
    "unknown datatype": (whole(datatype="STRING"), "STRING"),
    "text": (whole(datatype="BYTES", data=["a"] * 10), "BYTES"),
    "text as numbers": (whole(data=["a"] * 10), "is not FP32"),
    "bools as numbers": (whole(data=[True] * 10), "is not FP32"),
    "fractions as integers": (whole(datatype="INT32"), "12.5 is not INT32"),
    "null as integer": (whole(datatype="INT8", data=[None] * 10), "None is not INT8"),
    "beyond an integer type": (whole(datatype="UINT8", data=[256] * 10), "256.0 is not UINT8"),
    "beyond float32": (whole(data=[1e300] * 10), "1e+300 is not FP32"),
    "unknown column": ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}, "unknown ['x']"),
    "a column short": (
        {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP32", "data": [1]}]},
        "missing ['tip'",
    ),
    "unknown output": ({**whole(), "outputs": [{"name": "shap"}]}, "no output 'shap'"),
    "binary size": (whole(parameters={"binary_data_size": 40}), "binary_data=False"),
    "no data": ({"inputs": [{"name": "features", "shape": [1, 5], "datatype": "FP32"}]}, "binary_data=False"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_is_400_with_an_error_that_names_the_place(name: str) -> None:
    """Clients show `error` of a body whose content type is exactly JSON; nothing is recorded."""
    body, text = BAD[name]
    stage = await serving()

    response = await infer(stage, body)

    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/json"
    assert text in response.json()["error"]
    assert stage.spool.kept == []


async def test_columns_of_different_lengths_are_refused() -> None:
    """All columns have one number of rows."""
    columns = [{"name": name, "shape": [1], "datatype": "FP32", "data": [1]} for name in NAMES]
    columns[1] = {"name": NAMES[1], "shape": [2], "datatype": "FP32", "data": [1, 2]}

    response = await infer(await serving(), {"inputs": columns})

    assert (response.status_code, "same number of rows" in response.json()["error"]) == (400, True)


async def test_binary_requests_are_told_what_to_do() -> None:
    """The header of the binary extension, not the content type, marks a binary body."""
    response = await infer(await serving(), whole(), **{"Inference-Header-Content-Length": "10"})

    assert (response.status_code, "binary_data=False" in response.json()["error"]) == (400, True)


async def test_infer_before_a_champion_of_an_unknown_model_or_version() -> None:
    """503 with Retry-After, 404, 404."""
    early = await infer(await staged(), whole())
    unknown = await infer(await serving(), whole(), "/v2/models/nobody/infer")
    version = await infer(await serving(), whole(), f"{BASE}/versions/2/infer")
    right = await infer(await serving(), whole(), f"{BASE}/versions/3/infer")

    assert [response.status_code for response in (early, unknown, version, right)] == [503, 404, 404, 200]
    assert "retry-after" in early.headers


async def test_a_key_names_the_rows_of_a_request() -> None:
    """Under an `Idempotency-Key` the rows' ids follow from the key."""
    stage = await serving()
    first = await infer(stage, whole(), **{"Idempotency-Key": "k"})
    again = await infer(stage, whole(), **{"Idempotency-Key": "k"})

    base = h("anonymous", "k")
    assert first.json() == again.json()
    assert first.json()["outputs"][2]["data"] == [h(base, 0), h(base, 1)]
    assert len(stage.spool.kept) == 2
