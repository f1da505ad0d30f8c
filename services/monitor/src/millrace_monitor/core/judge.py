"""One model's judgement: it changes only with a cut, and what it says follows from the cuts it was given."""

from collections.abc import Mapping

import msgspec

from millrace.spec import PipelineSpec
from millrace_common.ids import h
from millrace_common.messages import Alert, Offsets
from millrace_common.messages.alert import Cause, Loop, Retrain
from millrace_monitor.core.concept import Concept
from millrace_monitor.core.cut import Asked, Candidated, Cut, Dropped, FirstServed, Promoted
from millrace_monitor.core.drift import Reading
from millrace_monitor.core.evidence import weigh_labels, weigh_window
from millrace_monitor.core.incident import Incident
from millrace_monitor.core.pager import Pager
from millrace_monitor.core.policy import Request, Requests, Wanted
from millrace_monitor.core.profile import Profile
from millrace_monitor.core.speaker import Speaker, Thread
from millrace_monitor.core.trail import Trail

LOOPS_MAX = 100


class Judge(msgspec.Struct):
    """What is known of the champion and of the request for the next one."""

    champion: Promoted | None = None
    pager: Pager | None = None
    concept: Concept | None = None
    incidents: dict[str, Incident] = {}
    """Open ones, by kind."""
    requests: Requests = msgspec.field(default_factory=Requests)
    loops: list[Loop] = []
    served: dict[str, int] = {}
    trail: Trail = msgspec.field(default_factory=Trail)
    readings: tuple[Reading, ...] = ()
    """Of the last window that was judged."""
    labelled: int = 0
    threads: dict[str, Thread] = {}

    def judge(self, cut: Cut, pipeline: PipelineSpec, profiles: Mapping[str, Profile]) -> list[Alert]:
        """Take the next cut and return what is to be said, in order."""
        speaker = Speaker(pipeline, cut, self.threads)
        self.labelled = cut.labelled
        self.trail.add(cut)
        judged, was_right = self.champion, "performance" not in self.incidents
        self._weigh(speaker, profiles)
        if was_right and "performance" in self.incidents:
            self.requests.rejections = 0
        for note in cut.notes:
            self._take(note, speaker, profiles)
        if self.champion is not judged:
            self._weigh(speaker, profiles)
        self._settle(speaker)
        self._close_loop(speaker)
        self._count()
        wanted = self.requests.wanted(
            pipeline.retrain, incidents=self.incidents, labelled=self.labelled, now_us=cut.at_us
        )
        if wanted is not None:
            self._request(wanted, speaker)
        return speaker.said

    def _weigh(self, speaker: Speaker, profiles: Mapping[str, Profile]) -> None:
        """Weigh what the cut holds of the present champion."""
        if self.champion is None or self.concept is None:
            return
        digest, profile = self.champion.digest, profiles.get(self.champion.digest)
        for closed in speaker.cut.windows:
            if closed.digest == digest and profile is not None and self.pager is not None:
                weigh_window(self, closed.window, profile, speaker)
        graded = [one for one in speaker.cut.graded if one.answer.digest == digest]
        if graded:
            weigh_labels(self, graded, profile, speaker)

    def _take(
        self,
        note: Promoted | Candidated | Dropped | FirstServed | Asked,
        speaker: Speaker,
        profiles: Mapping[str, Profile],
    ) -> None:
        match note:
            case Promoted():
                self._promote(note, speaker, profiles.get(note.digest))
                self.requests.remember(note)
            case Candidated() | Dropped():
                self.requests.remember(note)
            case FirstServed():
                self.served[note.digest] = note.served_us
                if len(self.served) > LOOPS_MAX:
                    del self.served[next(iter(self.served))]
            case Asked():
                self.requests.asked.append(note)

    def _promote(self, note: Promoted, speaker: Speaker, profile: Profile | None) -> None:
        """Start anew for another champion; what was wrong with the last one is over."""
        for kind, incident in sorted(self.incidents.items()):
            speaker.say(incident, incident.kind, "resolved").with_(
                causes=(Cause(cause=f"promotion of version {note.version}", share=1.0),)
            )
            del self.incidents[kind]
        self.champion = note
        self.readings = ()
        self.pager = Pager.start(len(profile.columns)) if profile else None
        self.concept = Concept.start(speaker.pipeline.drift.labels_per_false_alarm)
        if self.requests.open is None or self.requests.mark_us is None:
            self.requests.labelled_mark, self.requests.mark_us = self.labelled, speaker.cut.at_us
        if not note.profile:
            incident = self.incidents["serving"] = speaker.open("serving", "profile.json", note, "error")
            speaker.say(incident, "serving", "firing").with_(
                causes=(Cause(cause="the artifact's profile could not be read: drift is not watched", share=1.0),)
            )

    def _count(self) -> None:
        """Count the labelled rows after each change; of a worse model those that were graded, which may come later."""
        for incident in self.incidents.values():
            incident.labelled_since = self.labelled - incident.labelled_at_change
            if incident.kind == "performance" and self.concept is not None and self.concept.split is not None:
                incident.labelled_since = self.concept.split.n

    def _settle(self, speaker: Speaker) -> None:
        request = self.requests.open
        ended = self.requests.settle(self.champion)
        if request is not None and ended is not None:
            speaker.say(request.incident, "retrain", "closed").with_(
                retrain=_asked_for(request), causes=(Cause(cause=ended, share=1.0),)
            )

    def _close_loop(self, speaker: Speaker) -> None:
        landed = self.requests.landed
        if landed is None or landed.to_digest not in self.served:
            return
        self.requests.landed = None
        loop = landed.loop(self.served[landed.to_digest])
        if loop is not None:
            self.loops = [*self.loops, loop][-LOOPS_MAX:]
            speaker.say(landed.incident, "loop", "closed").with_(
                loop=loop, retrain=_asked_for(landed), version=landed.to_version, digest=landed.to_digest
            )

    def _request(self, wanted: Wanted, speaker: Speaker) -> None:
        cut, requests = speaker.cut, self.requests
        incident = wanted.incident or speaker.open("retrain", f"{wanted.reason} {wanted.basis}", self.champion, "info")
        request = requests.open = Request(
            request_id=h(speaker.pipeline.model.name, wanted.reason, wanted.basis),
            reason=wanted.reason,
            incident=incident,
            base_version=self.champion.version if self.champion else "",
            base_digest=self.champion.digest if self.champion else None,
            rows_min=wanted.rows_min,
            changed_us=incident.changed_us,
            detected_us=incident.opened_us,
            requested_us=cut.at_us,
        )
        requests.labelled_mark, requests.mark_us = self.labelled, cut.at_us
        requests.asked = []
        speaker.say(incident, "retrain", "requested").with_(
            retrain=_asked_for(request, self.trail.features_from(incident.changed_us)),
            change_point=self.trail.change_point(incident.changed_us),
        )


def _asked_for(request: Request, train_from: Offsets | None = None) -> Retrain:
    return Retrain(
        request_id=request.request_id,
        reason=request.reason,
        base_digest=request.base_digest,
        train_from=train_from,
        rows_min=request.rows_min,
    )
