"""Serving as its process runs it, on a real Redis, with its home folder."""

from pathlib import Path

import httpx
from tests.fakes.serving.declared import MODEL, deployment
from tests.fakes.serving.models import artifact
from tests.fakes.serving.stage import Gatekeeper

from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import SystemClock
from millrace_common.host import Host
from millrace_serving.service import service
from millrace_serving.settings import Settings

ASK = {"entities": {"card": "4929", "merchant": "shop"}, "fields": {"amount": 12.5}}


async def test_a_restarted_service_finds_its_model_and_its_answers_again(tmp_path: Path, redis_url: str) -> None:
    """The log says what answers, the home folder holds what was not sent; nothing else is remembered."""
    settings = Settings.model_validate({"REDIS_URL": redis_url, "home": tmp_path, "instance": "7"})
    clock = SystemClock()
    bus, store = MemoryBus(clock), ArtifactStore.open(settings.artifacts)
    keeper = Gatekeeper(bus, store)
    await keeper.train("1", artifact(0.0))
    await keeper.promote("1")
    answered = []
    for _ in range(2):
        async with service(settings, Host(deployment(), bus, clock, "7", "0.1.0")) as opened:
            seat = await bus.seat(opened)
            assert opened.app is not None
            transport = httpx.ASGITransport(app=opened.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
                answered.append((await client.post(f"/v1/models/{MODEL}/predict", json=ASK)).json()["prediction_id"])
            bus.leave(seat)

    [published] = bus.log["predictions"]
    assert len(set(answered)) == 2
    assert [record.header("ce_id") for record in published] == answered
    assert (tmp_path / "serving" / "7" / "spool").is_dir()
