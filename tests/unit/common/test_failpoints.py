"""Failpoints: die at a place, once."""

from pathlib import Path

from millrace_common.failpoints import Failpoints


def test_a_count_kills_at_its_pass_and_at_no_other() -> None:
    """A place given a number is deadly at that pass alone."""
    deaths: list[str] = []
    failpoints = Failpoints({"applied": 2}, die=lambda: deaths.append("dead"))
    passes = []
    for _ in range(4):
        failpoints.hit("published")
        failpoints.hit("applied")
        passes.append(len(deaths))
    assert passes == [0, 1, 1, 1]


def test_a_file_kills_at_the_next_pass_and_is_gone_by_then(tmp_path: Path) -> None:
    """A file that is named after a place arms it once, also for the process that comes after."""
    left: list[bool] = []
    armed = tmp_path / "applied"
    failpoints = Failpoints(die=lambda: left.append(armed.exists()), folder=tmp_path)
    failpoints.hit("applied")
    armed.touch()
    failpoints.hit("published")
    assert left == []
    failpoints.hit("applied")
    failpoints.hit("applied")
    assert left == [False]


def test_a_folder_that_is_not_there_arms_nothing(tmp_path: Path) -> None:
    """The folder may come later, or never."""
    deaths: list[str] = []
    Failpoints(die=lambda: deaths.append("dead"), folder=tmp_path / "absent").hit("committing")
    assert deaths == []
