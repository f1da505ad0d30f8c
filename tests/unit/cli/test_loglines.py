"""Logs for people."""

import json

from millrace_cli.loglines import readable


def test_facts_stand_on_one_line_without_what_every_line_repeats() -> None:
    """Time, level, event, then the rest; the service's name is known from the file."""
    line = {"event": "candidate_promoted", "service": "gatekeeper", "instance": "0", "level": "info", "version": "3"}
    assert readable(json.dumps({**line, "timestamp": "2024-05-01T10:00:00Z"})) == (
        "10:00:00 info candidate_promoted version=3"
    )


def test_a_trace_is_shown_where_it_is_asked_for() -> None:
    """The end of a log in an error message stays short; `logs` shows all."""
    line = json.dumps({"event": "process_crashes", "level": "error", "exception": "Traceback\n  line 1"})
    assert readable(line) == "error process_crashes"
    assert readable(line, traces=True) == "error process_crashes\nTraceback\n  line 1"


def test_other_lines_stay_as_they_are() -> None:
    """Kafka's own lines, half a line, JSON that is no log line."""
    text = '[main] INFO kafka started\n{"event": "cut off\n[1, 2]\n{"a": 1}'
    assert readable(text) == text
