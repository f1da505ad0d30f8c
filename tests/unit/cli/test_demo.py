"""The demo's judgement: when a loop has closed and accuracy is back."""

from pathlib import Path

import pytest
from pipelines.fraud_stream import FraudStream

from millrace_cli.commands.demo import fresh
from millrace_cli.demo.scene import accuracies
from millrace_common.errors import Misconfigured
from millrace_common.messages.alert import Loop
from millrace_monitor.core.status import WindowStatus

LOOP = Loop(
    changed_us=100,
    detected_us=1,
    requested_us=2,
    candidate_us=3,
    promoted_us=4,
    first_prediction_us=5,
    from_version="1",
    to_version="2",
)


def window(start_us: int, accuracy: float, version: str, *, n: int = 1_000) -> WindowStatus:
    """Return a window of 10 microseconds."""
    return WindowStatus(start_us, start_us + 10, n, accuracy, version)


def test_a_loop_has_recovered_when_half_of_what_was_lost_is_back_on_enough_labels() -> None:
    """The window that straddles the change counts to neither side."""
    windows = [window(80, 0.9, "1"), window(95, 0.5, "1"), window(110, 0.7, "1"), window(120, 0.85, "2")]

    found = accuracies(windows, LOOP, changed_us=100)

    assert (found.before, found.during, found.after) == (0.9, 0.7, 0.85)
    assert found.has_recovered
    assert not accuracies([*windows[:3], window(120, 0.75, "2")], LOOP, changed_us=100).has_recovered
    assert not accuracies([*windows[:3], window(120, 0.85, "2", n=10)], LOOP, changed_us=100).has_recovered
    assert not accuracies([window(80, 0.7, "1"), window(110, 0.9, "1"), windows[3]], LOOP, changed_us=100).has_recovered


def test_the_demo_empties_only_a_folder_of_its_own(tmp_path: Path) -> None:
    """A folder with anything else in it is refused and left as it is."""
    (tmp_path / "precious").write_text("x")

    with pytest.raises(Misconfigured, match="not a demo's"):
        fresh(tmp_path)
    own = fresh(tmp_path / "own").folder
    (own / "old").write_text("x")
    fresh(own)

    assert (tmp_path / "precious").exists()
    assert not (own / "old").exists()


def test_the_fraud_stream_is_the_same_each_time_and_changes_where_it_says() -> None:
    """One seed, one stream, in order of time; before the change big payments are fraud, after it they are not."""
    stream = FraudStream(payments=6_000, change_at=3_000)
    events = list(stream)
    payments = [event for event in events if event["type"] == "transaction"]
    charged_back = {event["txn_id"] for event in events if event["type"] == "chargeback"}

    def share(chosen: list[dict[str, str | float | bool | int]]) -> float:
        return sum(event["txn_id"] in charged_back for event in chosen) / len(chosen)

    assert events == list(stream)
    assert events == sorted(events, key=lambda event: event["ts"])
    assert payments[3_000] == stream.change_event
    offline = [
        [p for p in part if not p["online"] and p["amount"] > 150] for part in (payments[:3_000], payments[3_000:])
    ]
    assert share(offline[0]) > 0.6
    assert share(offline[1]) < 0.2
