"""The answers that are kept by `Idempotency-Key`."""

import pytest

from millrace_ingest.core.answers import ENTRY_BYTES, KEEP_US, Answers
from millrace_ingest.core.requests import OtherBody


def test_the_oldest_answers_go_first_when_there_is_no_room() -> None:
    """The bytes are bounded, answers included."""
    answers = Answers(bytes_max=3 * (ENTRY_BYTES + 10))
    for number in range(5):
        answers.keep(str(number), "d", b"x" * 10, now_us=number)

    assert [answers.find(str(number), "d", now_us=5) for number in range(5)] == [None, None, *[b"x" * 10] * 3]


def test_an_answer_is_forgotten_after_a_day() -> None:
    """Then the key may come with another body."""
    answers = Answers()
    answers.keep("k", "d", b"x", now_us=0)

    with pytest.raises(OtherBody):
        answers.find("k", "other", now_us=KEEP_US)
    assert answers.find("k", "other", now_us=KEEP_US + 1) is None


def test_old_answers_leave_when_new_ones_come() -> None:
    """Age alone frees their bytes."""
    answers = Answers(bytes_max=10 * ENTRY_BYTES)
    for number in range(9):
        answers.keep(str(number), "d", b"", now_us=0)
    answers.keep("late", "d", b"y", now_us=KEEP_US + 1)

    assert len(answers._kept) == 1
    assert answers._bytes == ENTRY_BYTES + 1
