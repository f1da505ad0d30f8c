"""How an error ends a process."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from millrace_common.errors import Unavailable
from millrace_common.exits import ExitOnError

async def main():
    body = asyncio.current_task()
    try:
        asyncio.get_running_loop().call_soon(body.cancel)
        with ExitOnError():
            {body}
    finally:
        raise Unavailable("the sender has failed")

with ExitOnError():
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [("await asyncio.sleep(60)", 70, "the sender has failed"), ("raise Unavailable('the body')", 70, "the body")],
)
def test_a_cancellation_lets_the_one_who_cancelled_give_the_reason(body: str, code: int, said: str) -> None:
    """One line says why a process crashes: the first error, and of a cancellation the error behind it."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == code
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if "process_crashes" in line]
    assert len(lines) == 1
    assert said in lines[0]
