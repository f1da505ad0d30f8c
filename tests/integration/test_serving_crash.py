"""Each answer is on the predictions topic exactly once by effect, also when the process dies."""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import httpx
import msgspec
from tests.fakes.serving.child import SPOOL_BYTES_MAX, Landing
from tests.fakes.serving.declared import MODEL

from millrace_cli.programs import tethered
from millrace_common.messages import Prediction
from millrace_serving.adapters.spool import open_spool, sending

ROOT = Path(__file__).parents[2]
ASK = {"entities": {"card": "4929", "merchant": "shop"}, "fields": {"amount": 12.5}}


async def ask_until_it_dies(port: str, answered: dict[str, float]) -> None:
    """Ask without pause; note every answer that arrived."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        try:
            while True:
                response = await client.post(f"/v1/models/{MODEL}/predict", json=ASK)
                assert response.status_code == 200
                answer = response.json()
                answered[answer["prediction_id"]] = answer["score"]
        except httpx.TransportError:
            return


async def answers_of_a_killed_process(folder: Path, deadly: int) -> dict[str, float]:
    """Return what callers were told by a process that killed itself at its nth publish."""
    child = await asyncio.create_subprocess_exec(
        *tethered((sys.executable, "-m", "tests.fakes.serving.child", str(folder), str(deadly))),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    port = ""
    while not port.isdigit():
        line = await child.stdout.readline()
        assert line, "the process ended before it served"
        port = line.decode().strip()
    answered: dict[str, float] = {}
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(ask_until_it_dies(port, answered) for _ in range(8)))
            assert await child.wait() == -signal.SIGKILL
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return answered


async def test_every_answer_of_a_killed_process_is_published_once_by_effect(tmp_path: Path) -> None:
    """kill -9 after records landed and before they were acknowledged: the next process sends them again, same ids."""
    answered: dict[str, float] = {}
    for deadly in (3, 20):
        answered |= await answers_of_a_killed_process(tmp_path, deadly)
    async with (
        open_spool(tmp_path / "spool", bytes_max=SPOOL_BYTES_MAX) as spool,
        sending(spool, Landing(tmp_path / "published")),
        asyncio.timeout(20),
    ):
        await spool.emptied()

    lines = (tmp_path / "published").read_bytes().splitlines()
    landed = [msgspec.json.decode(line, type=Prediction) for line in lines]
    times = Counter(made.prediction_id for made in landed)
    effective = {made.prediction_id: made.score for made in reversed(landed)}
    assert len(answered) >= 20
    assert {name: effective[name] for name in answered} == answered
    assert sum(times.values()) > len(times), "nothing was sent twice: the run proves nothing"
    assert len(set(lines)) == len(times), "a repeated record has the same bytes"
