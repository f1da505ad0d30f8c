"""One platform for all tests that ask for it, with a stream in it; and what tests ask of it over HTTP.

A plugin, so that several modules share one fixture. It runs the tests that use the platform after all others: nothing
else is measured beside it.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from pipelines.fraud_stream import HOUR_US, FraudStream

from millrace_cli import ports
from millrace_cli.detached import running
from millrace_cli.home import Endpoints, Home, Status
from millrace_common.clock import SystemClock

PIPELINES = tuple(f"tests.e2e.small_fraud:{name}" for name in ("PIPELINE", "UNTRAINED", "VISITS"))
PAYMENTS = 2_500
POLL_SECONDS = 0.1
PORTS_AWAY, PORTS_EACH = 10_500, 40
ANSWER_SECONDS_MAX = 45.0
TRAINED_SECONDS_MAX = 120.0
T = TypeVar("T")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Live:
    """A platform that runs."""

    home: Home
    endpoints: Endpoints

    def url(self, service: str) -> str:
        """Return where a service is reached."""
        return self.endpoints.services[service]

    def get(self, service: str, path: str) -> Any:
        """Return the JSON of a GET that must succeed."""
        answer = httpx.get(self.url(service) + path, timeout=ANSWER_SECONDS_MAX)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def post(self, service: str, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Return the answer to a POST."""
        url = self.url(service) + path
        return httpx.post(url, content=content, headers=dict(headers or {}), timeout=ANSWER_SECONDS_MAX)

    def send(self, *events: Mapping[str, object]) -> list[Any]:
        """Post events and return where the broker has each."""
        body = b"\n".join(msgspec.json.encode(event) for event in events)
        answer = self.post("ingest", "/v1/events", body)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return list(answer.json()["accepted"])

    def counts(self, service: str) -> dict[str, int]:
        """Return what a service says that it did."""
        return dict(self.get(service, "/status")["counts"])

    def status(self) -> Status:
        """Return what the supervisor sees."""
        status = self.home.status()
        assert status is not None
        return status

    def pid(self, process: str) -> int:
        """Return the process id of a child."""
        pid = next(one.pid for one in self.status().processes if one.name == process)
        assert pid is not None, f"{process} is not running"
        return pid

    def champions(self) -> list[str]:
        """Return the versions that became champion of `fraud`, each once, in order."""
        steps = self.get("gatekeeper", "/v1/models/fraud")["history"]
        return list(dict.fromkeys(step["version"] for step in steps if step["to_state"] == "champion"))

    def is_decided(self) -> bool:
        """Say whether no run of `fraud` is open and each candidate was decided: no promotion comes by itself."""
        runs = [run for run in self.get("trainer", "/v1/runs")["runs"] if run["model"] == "fraud"]
        decided = {step["candidate_id"] for step in self.get("gatekeeper", "/v1/models/fraud")["history"]}
        return all(run["status"] != "started" and run["candidate_id"] in {*decided, None} for run in runs)


def until(look: Callable[[], T | None], what: str, *, seconds_max: float = 30.0) -> T:
    """Return what `look` finds once it finds something; AssertionError past the deadline."""
    deadline = time.monotonic() + seconds_max
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds_max:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return found


def now_ms() -> int:
    """Return the time as events state it."""
    return SystemClock().now_us() // 1_000


def payment(txn_id: str, card: str, **changes: object) -> dict[str, object]:
    """Return a payment of now, as a producer writes it."""
    usual = {
        "type": "transaction",
        "txn_id": txn_id,
        "card": card,
        "merchant": "m1",
        "amount": 12.5,
        "online": True,
        "ts": now_ms(),
    }
    return {**usual, **changes}


def own_ports() -> dict[str, int]:
    """Return ports to try first, away from those that a platform in use, or another session of tests, would take."""
    away = PORTS_AWAY + PORTS_EACH * (os.getpid() % 100)
    return {name: port + away for name, port in {**ports.EMBEDDED, **ports.SERVICES}.items()}


def past_payments() -> FraudStream:
    """Return enough payments to train on, without a change, the last chargeback just before now."""
    stream = FraudStream(payments=PAYMENTS, change_at=PAYMENTS)
    hours = PAYMENTS // stream.payments_per_hour + 7
    return replace(stream, start_us=SystemClock().now_us() - hours * HOUR_US)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Six services, Kafka and Redis; enough payments to train on have just been sent."""
    home = Home(tmp_path_factory.mktemp("live"))
    home.write(Endpoints("", "", services={}, ports=own_ports(), pipelines=PIPELINES))
    with running(home.folder, pipelines=PIPELINES) as endpoints:
        live = Live(home, endpoints)
        live.send(*past_payments())
        yield live


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say a line to whoever runs the tests: what was counted."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(text)

    return line


@pytest.fixture(scope="session")
def champion(live: Live) -> str:
    """The first version of `fraud`, once serving answers with it."""
    version = until(lambda: next(iter(live.champions()), None), "a champion", seconds_max=TRAINED_SECONDS_MAX)
    until(lambda: live.get("serving", "/v1/models/fraud")["version"], "the champion in memory")
    return version


@pytest.fixture(scope="session")
def versions(live: Live, champion: str) -> list[str]:
    """Three versions of `fraud` that have served: the first, one trained anew, and the first one's graph imported."""
    first = live.get("gatekeeper", "/v1/models/fraud")["history"][0]["digest"].removeprefix("sha256:")
    graph = (live.home.folder / "artifacts" / "sha256" / first[:2] / first / "model.onnx").read_bytes()
    asked = live.post("monitor", "/v1/models/fraud/train", b"")
    assert asked.status_code in (httpx.codes.ACCEPTED, httpx.codes.CONFLICT), asked.text
    until(lambda: len(live.champions()) > 1, "a second version", seconds_max=TRAINED_SECONDS_MAX)
    headers = {"Content-Type": "application/octet-stream"}
    brought = live.post("trainer", "/v1/models/fraud/import", graph, headers)
    assert brought.status_code == httpx.codes.ACCEPTED, brought.text
    until(lambda: len(live.champions()) > 2, "a third version", seconds_max=TRAINED_SECONDS_MAX)
    return live.champions()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what uses the platform last, in its order."""
    items.sort(key=lambda item: "live" in getattr(item, "fixturenames", ()))
