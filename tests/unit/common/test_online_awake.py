"""Keeping the event loop awake for an answer."""

import asyncio
import math

import pytest

from millrace_common.online.awake import Awake

TURNS = 50


class Turns:
    """Counts how often the loop went around while something else waits for each of its turns."""

    def __init__(self) -> None:
        self.n = 0

    async def count(self, answer: "asyncio.Future[str]") -> None:
        """Give the answer after so many turns."""
        for self.n in range(1, TURNS + 1):
            await asyncio.sleep(0)
        answer.set_result("there")


async def test_others_go_on_while_an_answer_is_awaited() -> None:
    """The loop is kept turning, not blocked: who is ready has its turn each time around."""
    answer, turns = asyncio.get_running_loop().create_future(), Turns()
    counting = asyncio.create_task(turns.count(answer))
    assert await Awake(math.inf).until(answer) == "there"
    await counting
    assert turns.n == TURNS


async def test_who_gives_up_leaves_the_loop_to_the_next() -> None:
    """One of all who wait keeps the loop awake; when it is cancelled the others have their answers all the same."""
    loop, awake = asyncio.get_running_loop(), Awake(math.inf)
    answers = [loop.create_future() for _ in range(3)]
    tasks = [asyncio.create_task(awake.until(answer)) for answer in answers]
    await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    turns = Turns()
    fourth = loop.create_future()
    counting = asyncio.create_task(turns.count(fourth))
    assert await awake.until(fourth) == "there"
    await counting
    answers[1].set_result("second")
    answers[2].set_result("third")
    assert [await task for task in tasks[1:]] == ["second", "third"]


async def test_an_answer_that_stays_away_lets_the_loop_sleep() -> None:
    """After its time the answer is waited for as any other."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_later(0.02, answer.set_result, "late")
    assert await Awake(0.0).until(answer) == "late"


async def test_a_failed_answer_fails() -> None:
    """What an answer raises is raised."""
    answer = asyncio.get_running_loop().create_future()
    answer.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await Awake(math.inf).until(answer)
