"""What `status` makes of the supervisor's words and the services' own."""

from millrace_cli.commands.status import assemble, why
from millrace_cli.home import ProcessStatus, Status


def said(*processes: ProcessStatus) -> Status:
    """Return a supervisor's words."""
    return Status("ready", 1, 0, processes)


def test_lag_is_added_up_per_topic() -> None:
    """Partitions of one topic are one number; a position that is not known yet counts from the start."""
    places = [
        {"topic": "raw-data", "partition": 0, "position": 5, "end": 9},
        {"topic": "raw-data", "partition": 1, "position": None, "end": 2},
        {"topic": "promotions", "partition": 0, "position": 3, "end": 3},
    ]
    answer = {"deployment": "d", "partitions": places}
    report = assemble(said(ProcessStatus("features", "ready")), 1, [answer])
    assert report.processes[0].lag == {"raw-data": 6, "promotions": 0}


def test_different_deployments_are_told() -> None:
    """Two hashes mean that a pipeline file changed under a running platform; those that do not answer do not count."""
    processes = (ProcessStatus("ingest", "ready"), ProcessStatus("serving", "ready"), ProcessStatus("kafka", "ready"))
    assert assemble(said(*processes), 1, [{"deployment": "a"}, {"deployment": "b"}, None]).deployments_differ
    assert not assemble(said(*processes), 1, [{"deployment": "a"}, {"deployment": "a"}, None]).deployments_differ


def test_the_reason_is_the_supervisors_else_the_services() -> None:
    """A dead process is explained by its end, a living one by what it says itself."""
    dead = ProcessStatus("ingest", "waiting", reason="ended with signal 9, started again in 1 s")
    behind = ProcessStatus("serving", "unready")
    report = assemble(said(dead, behind), 1, [None, {"reason": "reading promotions"}])
    assert [why(row) for row in report.processes] == [dead.reason, "reading promotions"]
