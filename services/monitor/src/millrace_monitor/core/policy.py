"""When to ask for a new model, and when a request is done with. One open request per model.

A request waits until enough labelled rows lie after the change and after the request before it, never comes of a
quality incident, and is harder to get after each rejection: twice the rows, up to four times, until something new goes
wrong. An inconclusive candidate is no rejection: the next is asked for when as many labelled rows again have come.
"""

from typing import TypeVar

import msgspec

from millrace.spec import RetrainSpec
from millrace_common.messages.alert import Loop
from millrace_monitor.core.cut import Asked, Candidated, Dropped, Promoted
from millrace_monitor.core.incident import Incident

T = TypeVar("T")
BACK_OFF_MAX = 4
REMEMBERED_MAX = 50


class Wanted(msgspec.Struct, frozen=True):
    """A reason to ask for a new model. `basis` tells requests of one reason apart."""

    reason: str
    basis: str
    rows_min: int
    incident: Incident | None = None


class Request(msgspec.Struct):
    """What was asked for, and how far it came."""

    request_id: str
    reason: str
    incident: Incident
    base_version: str
    base_digest: str | None
    rows_min: int
    changed_us: int | None
    detected_us: int
    requested_us: int
    candidate_id: str | None = None
    candidate_us: int | None = None
    promoted_us: int | None = None
    to_version: str | None = None
    to_digest: str | None = None

    def loop(self, first_prediction_us: int) -> Loop | None:
        """Return the closed loop's clock; None where a step is missing."""
        if self.candidate_us is None or self.promoted_us is None or self.to_version is None:
            return None
        return Loop(
            changed_us=self.changed_us,
            detected_us=self.detected_us,
            requested_us=self.requested_us,
            candidate_us=self.candidate_us,
            promoted_us=self.promoted_us,
            first_prediction_us=first_prediction_us,
            from_version=self.base_version,
            to_version=self.to_version,
        )


class Requests(msgspec.Struct):
    """The request that is open, the one whose loop is not closed yet, and what is remembered to settle them."""

    open: Request | None = None
    landed: Request | None = None
    """Promoted; its first prediction is awaited."""
    rejections: int = 0
    labelled_mark: int = 0
    """Labelled rows at the last request, or at the last promotion that nobody asked for."""
    mark_us: int | None = None
    asked: list[Asked] = []
    candidates: dict[str, Candidated] = {}
    promotions: dict[str, Promoted] = {}
    dropped: dict[str, str] = {}
    ended: dict[str, str] = {}
    """Runs without a candidate: request id to status."""

    def remember(self, note: Promoted | Candidated | Dropped) -> None:
        """Keep a note until its request is settled: the topics are not read in step."""
        match note:
            case Promoted(candidate_id=str(candidate_id)):
                _keep(self.promotions, candidate_id, note)
            case Candidated(candidate_id=str(candidate_id), status="ready"):
                _keep(self.candidates, candidate_id, note)
            case Candidated(request_id=str(request_id), status="failed" | "refused" | "cancelled" as status):
                _keep(self.ended, request_id, status)
            case Dropped():
                _keep(self.dropped, note.candidate_id, note.why)

    def settle(self, champion: Promoted | None) -> str | None:
        """Hold the open request against what is remembered; return how it ended, None while it is open."""
        request = self.open
        if request is None:
            return None
        ended = self._end(request, champion)
        if ended is None:
            return None
        self.open = None
        if ended == "promoted":
            self.rejections, self.landed = 0, request
        elif ended not in ("cancelled", "superseded", "inconclusive"):
            self.rejections += 1
        return ended

    def _end(self, request: Request, champion: Promoted | None) -> str | None:
        if request.request_id in self.ended:
            return self.ended[request.request_id]
        for candidate_id, candidate in self.candidates.items():
            if candidate.request_id == request.request_id:
                request.candidate_id, request.candidate_us = candidate_id, candidate.at_us
        if request.candidate_id in self.promotions:
            landed = self.promotions[request.candidate_id]
            request.promoted_us, request.to_version, request.to_digest = landed.at_us, landed.version, landed.digest
            return "promoted"
        if request.candidate_id in self.dropped:
            return self.dropped[request.candidate_id]
        return "superseded" if self._is_superseded(request, champion) else None

    def _is_superseded(self, request: Request, champion: Promoted | None) -> bool:
        """Say whether another champion came that this request did not bring."""
        if champion is None or champion.digest == request.base_digest:
            return False
        candidate = self.candidates.get(champion.candidate_id or "")
        return champion.candidate_id is None or candidate is not None

    def wanted(
        self, retrain: RetrainSpec, *, incidents: dict[str, Incident], labelled: int, now_us: int
    ) -> Wanted | None:
        """Return the first reason to ask now, if there is one."""
        if self.open is not None:
            return None
        if self.asked:
            return Wanted("manual", str(self.asked[0].number), 0)
        if "quality" in incidents or self.mark_us is None:
            return None
        back_off = min(2**self.rejections, BACK_OFF_MAX)
        for kind, reason, is_on in (
            ("performance", "concept", retrain.on_performance),
            ("drift", "covariate", retrain.on_drift),
        ):
            incident = incidents.get(kind)
            is_ripe = incident is not None and incident.labelled_since >= retrain.rows_min
            if (
                is_on
                and incident is not None
                and is_ripe
                and labelled - self.labelled_mark >= retrain.rows_min * back_off
            ):
                return Wanted(reason, f"{incident.incident_id}.{labelled}", retrain.rows_min, incident)
        return self._by_schedule(retrain, labelled=labelled, now_us=now_us, back_off=back_off)

    def _by_schedule(self, retrain: RetrainSpec, *, labelled: int, now_us: int, back_off: int) -> Wanted | None:
        fresh = labelled - self.labelled_mark
        if retrain.every_rows is not None and fresh >= retrain.every_rows * back_off:
            return Wanted("rows", str(labelled), retrain.rows_min)
        is_time = retrain.every_us is not None and now_us - (self.mark_us or 0) >= retrain.every_us
        if is_time and fresh >= retrain.rows_min * back_off:
            return Wanted("schedule", str(labelled), retrain.rows_min)
        return None


def _keep(remembered: dict[str, T], key: str, note: T) -> None:
    remembered[key] = note
    if len(remembered) > REMEMBERED_MAX:
        del remembered[next(iter(remembered))]
