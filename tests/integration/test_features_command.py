"""`millrace features get`: an entity's features out of a real Redis, as people and programs see them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from tests.fakes.features import pipeline
from tests.fakes.features.stage import Stage, payment
from tests.fakes.online import own_database

from millrace.loading import load
from millrace_cli.__main__ import main
from millrace_common.online import OnlineWriter

FILE = f"{pipeline.__file__}:PIPELINE"
DAYS_AGO = -2_000_000.0
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(redis_url: str) -> Iterator[str]:
    """A store of our own that features has filled."""
    url = own_database(redis_url)
    with Redis.from_url(url) as client:
        client.flushdb()
        asyncio.run(filled(url))
        yield url
        client.flushdb()


async def filled(url: str) -> None:
    """Let features work off a hundred payments of one card, and one of another."""
    async with OnlineWriter.connect(url) as writer:
        stage = Stage(load([FILE]), 2, writer)
        for n in range(100):
            await stage.send(payment(f"p{n}", "4929", n / 10, merchant="Bäckerei Süß"))
        await stage.send(payment("last", "0071", 3.0, merchant=""))
        await stage.send(payment("long", "k" * 10_000, 4.0, merchant="m"))
        await stage.run()


@pytest.fixture
def run(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line on a home that was never up; return its exit code, standard output and standard error."""
    monkeypatch.setenv("REDIS_URL", url)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["features", "get", *words, "--home", str(tmp_path), "--pipeline", FILE])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_every_group_of_an_entity_is_shown_with_its_source(run: Run) -> None:
    """Values, age, status, topic, partition and offset; JSON has the same."""
    code, out, _ = run("card", "4929")
    assert code == 0
    assert "CardSpend@" in out
    for words in (("last2_1", "1.0", "fresh", "raw-data["), ("n_1m", "0", "fresh")):
        [line] = [line for line in out.splitlines() if line.startswith(words[0])]
        assert all(word in line for word in words)
    code, out, _ = run("card", "4929", "--json")
    answer = json.loads(out)
    [group] = answer["groups"]
    assert (code, answer["entity_id"], group["status"], group["rebuilding"]) == (0, "4929", "fresh", False)
    assert group["source"]["topic"] == "raw-data"
    assert {feature["name"]: feature["value"] for feature in group["features"]}["n_1m"] == 0


@pytest.mark.parametrize(("kind", "entity"), [("merchant", ""), ("card", "0071"), ("card", "k" * 10_000)])
def test_an_id_is_taken_as_it_stands(run: Run, kind: str, entity: str) -> None:
    """Digits stay text, the empty id is an id, and so is one of 10 kB."""
    code, out, _ = run(kind, entity, "--json")
    assert (code, json.loads(out)["entity_id"]) == (0, entity)


def test_an_entity_of_copies_is_found_under_its_own_topic(run: Run) -> None:
    """Groups by another field than the event's entity come from its copies; an id may be any text."""
    code, out, _ = run("merchant", "Bäckerei Süß", "--json")
    assert code == 0
    assert json.loads(out)["groups"][0]["source"]["topic"] == "raw-data.by-merchant"


def test_an_entity_that_nobody_has_seen_is_missing(run: Run) -> None:
    """It is said, with the values that serving would take, and the exit code is 1."""
    code, out, _ = run("card", "stranger", "--json")
    assert code == 1
    assert json.loads(out)["groups"][0]["status"] == "missing"
    assert "missing" in run("card", "stranger")[1]


def test_a_type_that_has_no_features_is_refused_with_those_that_have(run: Run) -> None:
    """A typing error costs one look."""
    code, out, err = run("crad", "4929")
    assert (code, out) == (1, "")
    assert "'crad'; there are features of: card, merchant" in err


def test_more_words_than_the_id_has_parts_are_refused(run: Run) -> None:
    """The fields that name the entity are told."""
    code, _, err = run("card", "4929", "7")
    assert code == 1
    assert "card is named by card" in err


def test_a_store_that_is_rebuilt_says_so(run: Run, url: str) -> None:
    """What a flushed store does not hold is stale, not missing: nobody knows yet."""
    with Redis.from_url(url) as client:
        client.flushdb()
    code, out, _ = run("card", "4929", "--json")
    [group] = json.loads(out)["groups"]
    assert (code, group["status"], group["rebuilding"]) == (1, "stale", True)
    assert {feature["value"] for feature in group["features"]} == {None}
    assert "being rebuilt" in run("card", "4929")[1]
