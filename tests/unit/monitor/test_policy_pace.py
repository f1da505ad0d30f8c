"""How often a new model is asked for: never twice on the same rows, and never silent when something new goes wrong."""

from millrace.spec import RetrainSpec
from millrace_monitor.core.incident import Incident
from millrace_monitor.core.policy import Request, Requests, Wanted

RETRAIN = RetrainSpec(on_performance=True, every_rows=None, rows_min=500)


def firing(*, labelled_since: int) -> dict[str, Incident]:
    """Return an open performance incident with so many labelled rows after its change."""
    return {
        "performance": Incident(
            incident_id="i",
            kind="performance",
            subject="label",
            version="1",
            digest="d",
            severity="error",
            opened_us=0,
            labelled_at_change=0,
            labelled_since=labelled_since,
        )
    }


def asked(requests: Requests, *, labelled: int, labelled_since: int = 10_000) -> Wanted | None:
    """Return what is wanted while accuracy stays down."""
    return requests.wanted(RETRAIN, incidents=firing(labelled_since=labelled_since), labelled=labelled, now_us=1)


def ended(requests: Requests, why: str, *, labelled: int) -> None:
    """Let a request made at `labelled` end."""
    incident = firing(labelled_since=0)["performance"]
    requests.open = Request(
        request_id="r",
        reason="concept",
        incident=incident,
        base_version="1",
        base_digest="d",
        rows_min=500,
        changed_us=0,
        detected_us=0,
        requested_us=0,
        candidate_id="c",
    )
    requests.labelled_mark, requests.mark_us = labelled, 1
    requests.dropped["c"] = why
    assert requests.settle(None) == why


def test_a_request_waits_for_rows_after_the_change_and_after_the_request_before() -> None:
    """An inconclusive candidate is followed by another after `rows_min` further labelled rows, not at once."""
    requests = Requests(mark_us=0)

    assert asked(requests, labelled=5_000, labelled_since=499) is None
    assert asked(requests, labelled=5_000) is not None
    ended(requests, "inconclusive", labelled=5_000)

    assert asked(requests, labelled=5_499) is None
    assert asked(requests, labelled=5_500) is not None


def test_rejections_double_the_wait_up_to_four_times() -> None:
    """500, then 1,000, then 2,000 further labelled rows, and never more."""
    requests = Requests(mark_us=0)
    waits = []
    for _ in range(4):
        ended(requests, "rejected", labelled=10_000)
        waits.append(next(n for n in range(0, 4_000, 500) if asked(requests, labelled=10_000 + n) is not None))

    assert waits == [1_000, 2_000, 2_000, 2_000]
