"""`POST /v1/models/{m}/predict`."""

import asyncio
import gzip
import json

import httpx
import pytest
from tests.fakes.serving.declared import CARD, DAY_US, MERCHANT, MODEL
from tests.fakes.serving.models import artifact, score_of
from tests.fakes.serving.stage import staged
from tests.fakes.serving.stored import stored_merchant

from millrace.loading import load
from millrace.spec import Scalar
from millrace_common.errors import Refused
from millrace_common.ids import h
from millrace_engine.events import personal_hash
from millrace_serving.core.definitions import compile_definitions
from millrace_serving.core.limits import Limits
from millrace_serving.core.requests import Ask, case_of_ask

PATH = f"/v1/models/{MODEL}/predict"
ASK = {"entities": {"card": "4929", "merchant": "shop"}, "fields": {"amount": 12.5}}
AT_US = 1_700_000_000_000_000


async def test_an_answer_says_what_it_stands_on_and_is_kept_before_it_is_given() -> None:
    """Score, version, features, ages and flags; the spool holds the one record of it."""
    stage = await staged()
    digest = await stage.promote_new("1", artifact(0.25))
    stage.online.values["merchant", "shop", MERCHANT.key] = stored_merchant(4, AT_US)
    async with stage.client() as client:
        response = await client.post(PATH, json={**ASK, "event_id": "txn-9", "at": "2023-11-14T22:13:20Z"})

    answer = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert answer["features"] == {
        "amount": 12.5, "tip": 0.0, "card_n_24h": 0.0, "card_mean_24h": None, "merchant_n_24h": 4.0,
    }  # fmt: skip
    assert answer["score"] == pytest.approx(score_of(0.25, (12.5, 0, 0, None, 4)), abs=1e-6)
    assert (answer["model"], answer["version"], answer["digest"]) == (MODEL, "1", digest)
    assert (answer["decision"], answer["threshold"], answer["flags"]) == (True, 0.5, ["missing"])
    assert answer["groups"][MERCHANT.key] == {"status": "fresh", "age_ms": 0}
    assert answer["groups"][CARD.key]["status"] == "missing"
    [kept] = stage.predictions()
    assert (kept.prediction_id, kept.score) == (answer["prediction_id"], answer["score"])
    assert (kept.via, kept.event_id, kept.at_us, kept.key) == ("predict", "txn-9", AT_US, "4929")
    assert stage.service.counts()["answered"] == 1


async def test_a_value_decays_to_the_time_asked_for() -> None:
    """Windows end also where nothing was written since: the same store answers other values for a later `at`."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    stage.online.values["merchant", "shop", MERCHANT.key] = stored_merchant(4, AT_US)
    async with stage.client() as client:
        later = (AT_US + 2 * DAY_US) // 1_000
        answer = (await client.post(PATH, json={**ASK, "at": later})).json()

    assert answer["features"]["merchant_n_24h"] == 0.0
    assert answer["groups"][MERCHANT.key] == {"status": "fresh", "age_ms": 2 * DAY_US // 1_000}


REFUSED = {
    "no JSON": (b"{", 400, "not JSON"),
    "empty": (b"", 400, "not JSON"),
    "no UTF-8": (b'{"entities":{"card":"\xff"}}', 400, "not JSON"),
    "NaN": (b'{"fields":{"amount":NaN}}', 400, "not JSON"),
    "an array": (b"[]", 422, "Expected `object`"),
    "deep nesting": (b'{"entities":' + b"[" * 100_000, 422, "entities"),
    "deep nesting of what is unknown": (b'{"x":' + b"[" * 100_000, 422, "x"),
    "unknown part": ({"who": 1}, 422, "who"),
    "unknown entity type": ({"entities": {"shop": "1"}}, 422, "entities.shop"),
    "no entity": ({"entities": {"card": "1"}, "fields": {"amount": 1}}, 422, "entities.merchant: required"),
    "empty id": ({**ASK, "entities": {"card": "", "merchant": "shop"}}, 422, "entities.card"),
    "composite id": ({**ASK, "entities": {"card": ["a", "b"], "merchant": "shop"}}, 422, "entities.card"),
    "a long id": ({**ASK, "entities": {"card": "x" * 5_000, "merchant": "shop"}}, 422, "entities.card: at most"),
    "missing field": ({"entities": ASK["entities"]}, 422, "fields.amount: required"),
    "null field": ({**ASK, "fields": {"amount": None}}, 422, "fields.amount"),
    "wrong type": ({**ASK, "fields": {"amount": "12"}}, 422, "fields.amount: Expected `float`, got `str`"),
    "out of range": ({**ASK, "fields": {"amount": -1}}, 422, "fields.amount"),
    "a number beyond floats": (b'{"fields":{"amount":1e999}}', 422, "out of range - at `$.fields"),
    "unknown field": ({**ASK, "fields": {"amount": 1, "colour": "red"}}, 422, "fields.colour"),
    "no time": ({**ASK, "at": "yesterday"}, 422, "at: "),
    "no zone": ({**ASK, "at": "2024-01-01T00:00:00"}, 422, "at: "),
    "a time before 1970": ({**ASK, "at": -1}, 422, "at: "),
    "a time before year 1": ({**ASK, "at": "0001-01-01T00:00:00+23:00"}, 422, "at: "),
    "empty event id": ({**ASK, "event_id": ""}, 422, "event_id"),
    "5 MB": (b" " * 5_000_000, 413, "must not exceed"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_question_that_breaks_its_contract_is_refused_by_name(name: str) -> None:
    """4xx with one sentence naming the place; nothing is recorded."""
    body, status, text = REFUSED[name]
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    async with stage.client() as client:
        response = await client.post(PATH, content=body if isinstance(body, bytes) else json.dumps(body))

    assert response.status_code == status, response.text
    assert text in response.json()["error"]
    assert list(response.json()) == ["error"]
    assert stage.spool.kept == []


def test_a_field_is_what_the_stream_makes_of_it() -> None:
    """A personal field by its hash, a time in microseconds: a question means what an event with it would mean."""
    definition = compile_definitions(load(["pipelines.fraud:PIPELINE"]))["fraud"]
    fields: dict[str, Scalar] = {"amount": 1.0, "online": True, "merchant": "m7", "ts": "1970-01-01T00:00:01Z"}
    case = case_of_ask(Ask({"card": "c1"}, fields), definition, 0)
    assert case.fields == {**fields, "merchant": personal_hash("m7"), "ts": 1_000_000}
    with pytest.raises(Refused, match=r"fields\.ts: "):
        case_of_ask(Ask({"card": "c1"}, {**fields, "ts": "0001-01-01T00:00:00+01:00"}), definition, 0)


async def test_what_cannot_be_answered_says_why() -> None:
    """503 before a champion, 404 for an unknown model, 405 for another method, 404 for another path."""
    stage = await staged()
    async with stage.client() as client:
        early = await client.post(PATH, json=ASK)
        unknown = await client.post("/v1/models/other/predict", json=ASK)
        read = await client.get(PATH)
        lost = await client.get("/v1/nothing")

    assert (early.status_code, early.json()) == (503, {"error": "no champion yet; see millrace status"})
    assert early.headers["retry-after"] == "1"
    assert (unknown.status_code, "known: fraud" in unknown.json()["error"]) == (404, True)
    assert (read.status_code, lost.status_code) == (405, 404)
    assert lost.json() == {"error": "Not Found"}


async def test_a_model_that_refuses_missing_groups_answers_409() -> None:
    """`missing="fail"`: an unknown entity is the caller's conflict, recorded as an error of the version."""
    stage = await staged(missing="fail")
    await stage.promote_new("1", artifact(0.0))
    async with stage.client() as client:
        response = await client.post(PATH, json=ASK)

    assert response.status_code == 409
    assert "is missing" in response.json()["error"]
    assert [made.outcome for made in stage.predictions()] == ["error"]


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_without_the_online_store_the_policy_decides_within_its_time(how: str) -> None:
    """`default` answers with missing values and a flag; `fail` answers 503 with Retry-After; none hangs."""
    answers = []
    for missing in ("default", "fail"):
        stage = await staged(missing=missing, limits=Limits(online_seconds_max=0.02))
        await stage.promote_new("1", artifact(0.0))
        setattr(stage.online, how, True)
        async with stage.client() as client:
            async with asyncio.timeout(2):
                answers.append(await client.post(PATH, json=ASK))

    assert answers[0].status_code == 200
    assert answers[0].json()["flags"] == ["store-unavailable"]
    assert answers[0].json()["features"]["card_n_24h"] is None
    assert (answers[1].status_code, answers[1].headers["retry-after"]) == (503, "1")


async def test_a_full_spool_refuses_rather_than_answers_unrecorded() -> None:
    """No answer without its record."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    stage.spool.full = True
    async with stage.client() as client:
        response = await client.post(PATH, json=ASK)

    assert (response.status_code, response.json()) == (503, {"error": "the spool is full"})


async def test_an_idempotency_key_gives_the_same_answer_once() -> None:
    """The same question under a key is answered from memory; another one is refused with 409; one record is kept."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    headers = {"Idempotency-Key": "k-1"}
    async with stage.client() as client:
        both = await asyncio.gather(*(client.post(PATH, json=ASK, headers=headers) for _ in range(2)))
        await stage.promote_new("2", artifact(1.0))
        again = await client.post(PATH, json=ASK, headers=headers)
        other = await client.post(PATH, json={**ASK, "fields": {"amount": 1.0}}, headers=headers)

    assert both[0].json() == both[1].json() == again.json()
    assert again.json()["prediction_id"] == h("anonymous", "k-1")
    assert (other.status_code, "Idempotency-Key" in other.json()["error"]) == (409, True)
    assert len(stage.spool.kept) == 1


async def test_a_key_of_a_failed_request_can_be_used_again() -> None:
    """Only answers are remembered."""
    stage = await staged()
    headers = {"Idempotency-Key": "k-1"}
    async with stage.client() as client:
        early = await client.post(PATH, json=ASK, headers=headers)
        await stage.promote_new("1", artifact(0.0))
        late = await client.post(PATH, json=ASK, headers=headers)

    assert (early.status_code, late.status_code) == (503, 200)


async def test_questions_of_one_moment_share_one_read_and_keep_apart() -> None:
    """Coalescing shows in the number of reads, never in the answers; ids are distinct."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    async with stage.client() as client:
        asks = [{**ASK, "fields": {"amount": float(number)}} for number in range(40)]
        answers = [r.json() for r in await asyncio.gather(*(client.post(PATH, json=ask) for ask in asks))]

    assert [answer["features"]["amount"] for answer in answers] == [float(number) for number in range(40)]
    assert len({answer["prediction_id"] for answer in answers}) == 40
    assert len(stage.online.reads) < 10
    assert max(stage.online.reads) == 2


async def test_a_compressed_body_is_read_up_to_the_limit() -> None:
    """gzip is taken; a bomb is refused."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    headers = {"content-encoding": "gzip"}
    async with stage.client() as client:
        good = await client.post(PATH, content=gzip.compress(json.dumps(ASK).encode()), headers=headers)
        bomb = await client.post(PATH, content=gzip.compress(b" " * 50_000_000), headers=headers)
        torn = await client.post(PATH, content=gzip.compress(b"{}")[:-4], headers=headers)

    assert [response.status_code for response in (good, bomb, torn)] == [200, 413, 400]


async def test_an_integer_names_an_entity_as_its_text_does() -> None:
    """4929 and "4929" are one card."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    async with stage.client() as client:
        await client.post(PATH, json={**ASK, "entities": {"card": 4929, "merchant": "shop"}})

    assert stage.predictions()[0].entities == {"card": "4929", "merchant": "shop"}


async def test_the_document_describes_the_hot_paths() -> None:
    """OpenAPI lists what the framework never sees."""
    stage = await staged()
    async with stage.client() as client:
        document = (await client.get("/openapi.json")).json()

    assert "/v1/models/{model}/predict" in document["paths"]
    assert "entities" in document["components"]["schemas"]["Ask"]["properties"]


async def test_too_many_requests_at_once_are_turned_away_early() -> None:
    """Past the limit: 503 with Retry-After, before any work."""
    stage = await staged(limits=Limits(online_seconds_max=0.2), requests_max=2)
    await stage.promote_new("1", artifact(0.0))
    stage.online.hangs = True
    async with stage.client() as client:
        responses: list[httpx.Response] = await asyncio.gather(*(client.post(PATH, json=ASK) for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [200, 200, 503, 503, 503]
