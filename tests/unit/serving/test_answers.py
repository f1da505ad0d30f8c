"""What is remembered by `Idempotency-Key`, and how much of it."""

import asyncio

import pytest

from millrace_serving.http.answers import Answers
from millrace_serving.http.wire import Response


def answering(size: int, *, status: int = 200, calls: list[str | None] | None = None):  # type: ignore[no-untyped-def]  # a factory
    """Return what answers with so many bytes."""

    async def answer(prediction_id: str | None) -> Response:
        if calls is not None:
            calls.append(prediction_id)
        await asyncio.sleep(0)
        return Response(status, b"x" * size)

    return answer


@pytest.mark.parametrize(("entries_max", "bytes_max"), [(3, 1_000_000), (1_000, 300)])
async def test_the_oldest_answers_are_forgotten(entries_max: int, bytes_max: int) -> None:
    """Memory is bounded by number and by bytes; a forgotten key is answered anew under the same prediction id."""
    answers, calls = Answers(entries_max, bytes_max), list[str | None]()
    for key in ("a", "b", "c", "d", "e", "e", "a"):
        await answers.once(key, ("/p", b"{}"), answering(100, calls=calls))
        await asyncio.sleep(0)

    assert len(calls) == 6
    assert calls[0] == calls[-1]
    assert list(answers.held) == ["d", "e", "a"]
    assert answers.held_bytes == 300


async def test_what_failed_is_not_remembered() -> None:
    """A refusal may be tried again under its key."""
    answers = Answers(10, 1_000)
    await answers.once("a", ("/p", b""), answering(1, status=503))
    await asyncio.sleep(0)

    assert (dict(answers.held), answers.held_bytes) == ({}, 0)
