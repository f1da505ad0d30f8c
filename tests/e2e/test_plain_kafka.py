"""The platform as a plain Kafka client sees it: nothing of ours on the producer's side, nor on the reader's."""

import json
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from tests.e2e.live_platform import Live, Tell, payment, until
from tests.e2e.live_topics import Raw, rows_of, sent, spoken_of, tail

KCAT_SECONDS_MAX = 30


async def test_a_plain_json_event_without_headers_or_key_gets_its_row(live: Live) -> None:
    """Wherever the client's own partitioner puts it, the event has one row, with its card's history."""
    bootstrap = live.endpoints.kafka_bootstrap_servers
    names = [f"plain-{n}" for n in range(8)]
    events = [payment(name, "card-plain", ts=payment("", "")["ts"]) for name in names]
    places = await sent(bootstrap, "raw-data", [Raw(json.dumps(event).encode()) for event in events])

    async with tail(bootstrap, "features") as features:
        await features.until(lambda record: any(spoken_of(name)(record) for name in names), count=len(names))
        rows = [rows_of(features.records, name) for name in names]

    assert [len(found) for found in rows] == [1] * len(names)
    assert {row.entity_id for [row] in rows} == {"card-plain"}
    assert len({partition for partition, _ in places}) > 1, "all lay in one partition by chance: the run proves little"


async def test_a_broken_event_lands_in_the_dead_letters(live: Live) -> None:
    """With reason, source topic, partition and offset in headers, and its own bytes."""
    bootstrap = live.endpoints.kafka_bootstrap_servers
    [(partition, offset)] = await sent(bootstrap, "raw-data", [Raw(b'{"type": "transaction", "card": ')])

    async with tail(bootstrap, "raw-data.dlq") as dead:
        place = ("raw-data", str(partition), str(offset))
        names = ("millrace-source-topic", "millrace-source-partition", "millrace-source-offset")
        [letter] = await dead.until(lambda record: tuple(map(record.header, names)) == place)

    assert (letter.header("millrace-reason"), letter.value) == ("not-json", b'{"type": "transaction", "card": ')


async def test_alerts_can_be_tailed(live: Live, champion: str) -> None:
    """A reader at the end of drift-alerts sees what is said from then on: here that somebody asked for training."""
    async with tail(live.endpoints.kafka_bootstrap_servers, "drift-alerts", from_start=False) as alerts:
        asked = live.post("monitor", "/v1/models/fraud/train", b"")
        [alert, *_] = await alerts.until(lambda record: b'"retrain"' in (record.value or b""))

    assert asked.status_code == 202
    said = json.loads(alert.value or b"")
    assert (alert.key, said["kind"], said["state"], said["model"]) == (b"fraud", "retrain", "requested", "fraud")
    assert said["retrain"]["request_id"] == asked.json()["request_id"]


# --- with kcat alone -------------------------------------------------------------------------------------------------
def test_the_same_with_kcat(live: Live, champion: str, request: pytest.FixtureRequest, tell: Tell) -> None:
    """The program `kcat` produces an event and a broken one, reads row, dead letter and alerts."""
    kcat = shutil.which("kcat")
    if kcat is None or request.config.getoption("--matrix") != "whole":
        pytest.skip("takes kcat on the PATH and --matrix=whole")
    broker = ("-b", live.endpoints.kafka_bootstrap_servers)
    produced(kcat, (*broker, "-P", "-t", "raw-data"), json.dumps(payment("kcat-1", "card-kcat")))
    produced(kcat, (*broker, "-P", "-t", "raw-data"), "no json from kcat")

    def read(topic: str, wanted: str) -> str:
        command = (kcat, *broker, "-C", "-e", "-q", "-o", "beginning", "-t", topic, "-f", "%h %s\n")
        done = subprocess.run(command, capture_output=True, timeout=KCAT_SECONDS_MAX, check=True)
        return next((line for line in done.stdout.decode(errors="replace").splitlines() if wanted in line), "")

    row = until(lambda: read("features", '"kcat-1"'), "the row of kcat-1")
    letter = until(lambda: read("raw-data.dlq", "no json from kcat"), "the dead letter")
    alert = until(lambda: read("drift-alerts", "millrace.alert.v1"), "an alert")
    for line in (f"kcat row: {row}", f"kcat letter: {letter}", f"kcat alert: {alert}"):
        tell(line[:600])

    assert '"entity_id":"card-kcat"' in row
    assert "millrace-reason=not-json" in letter
    for name in ("topic=raw-data", "partition=", "offset="):
        assert f"millrace-source-{name}" in letter


def produced(kcat: str, arguments: Sequence[str], line: str) -> None:
    """Produce one line with kcat."""
    subprocess.run((kcat, *arguments), input=line + "\n", text=True, timeout=KCAT_SECONDS_MAX, check=True)
