"""What one window, and one cut's labels, add to the case: incidents open, worsen and end here."""

from collections.abc import Sequence
from typing import Protocol

from millrace_common.messages.alert import Evidence, Impact, Window
from millrace_monitor.core import windows
from millrace_monitor.core.concept import Concept, Split, split_of
from millrace_monitor.core.cut import Promoted
from millrace_monitor.core.drift import CALM, Reading, ranked, read
from millrace_monitor.core.histograms import counts_of, digest
from millrace_monitor.core.incident import CALM_LABELS, Incident, Severity
from millrace_monitor.core.join import Graded
from millrace_monitor.core.pager import Pager
from millrace_monitor.core.profile import Profile
from millrace_monitor.core.quality import broken
from millrace_monitor.core.speaker import Speaker, State
from millrace_monitor.core.trail import Trail

ERROR_DROP = 0.02
FATAL_DROP = 0.05


class Case(Protocol):
    """What is known of the champion."""

    champion: Promoted | None
    pager: Pager | None
    concept: Concept | None
    incidents: dict[str, Incident]
    trail: Trail
    readings: tuple[Reading, ...]
    labelled: int


def weigh_window(case: Case, window: windows.Window, profile: Profile, speaker: Speaker) -> None:
    """Hold one closed window against the profile."""
    assert case.pager is not None
    counts = counts_of(window.counts)
    readings = case.readings = read(profile, counts)
    case.pager.see([one.p for one in readings], window.start_us)
    facts = Window(start_us=window.start_us, end_us=window.end_us, n=window.n, late=window.late)
    _weigh_drift(case, readings, facts, digest(counts), speaker)
    missing = broken(profile, counts)
    incident = case.incidents.get("quality")
    if missing and incident is None:
        incident = case.incidents["quality"] = speaker.open("quality", "missing", case.champion, "fatal")
        incident.changed_us = window.start_us
        worst = missing[0]
        speaker.say(incident, "quality", "firing").with_(
            window=facts,
            state_digest=digest(counts),
            items=missing,
            evidence=Evidence(detector="missing-share", value=worst.value, limit=worst.limit, budget="0.001 a window"),
            change_point=case.trail.change_point(window.start_us),
        )
    elif incident is not None and incident.reads(is_calm=not missing):
        del case.incidents["quality"]
        speaker.say(incident, "quality", "resolved").with_(window=facts, state_digest=digest(counts))


def _weigh_drift(case: Case, readings: tuple[Reading, ...], facts: Window, state_digest: str, speaker: Speaker) -> None:
    assert case.pager is not None
    limit = speaker.pipeline.drift.windows_per_false_page
    level, breaks = case.pager.level, any(one.is_break for one in readings)
    incident = case.incidents.get("drift")
    budget = f"1 false page per {limit:g} windows"
    evidence = Evidence(
        detector="fast-lane" if breaks and level < limit else "sr-e-detector", value=level, limit=limit, budget=budget
    )
    if incident is None and (breaks or level >= limit):
        incident = case.incidents["drift"] = speaker.open(
            "drift", speaker.pipeline.model.view.name, case.champion, "warning"
        )
        incident.changed_us = case.pager.since_us or facts.start_us
        speaker.say(incident, "drift", "firing").with_(
            window=facts,
            state_digest=state_digest,
            evidence=evidence,
            items=ranked(readings),
            change_point=case.trail.change_point(incident.changed_us),
        )
    elif incident is not None and incident.reads(is_calm=all(one.ratio < CALM for one in readings)):
        del case.incidents["drift"]
        case.pager = Pager.start(len(readings))
        speaker.say(incident, "drift", "resolved").with_(window=facts, state_digest=state_digest)


def weigh_labels(case: Case, graded: Sequence[Graded], profile: Profile | None, speaker: Speaker) -> None:
    """Bet on the labels of one cut, in the order of event time."""
    concept = case.concept
    assert concept is not None
    shift = profile.overconfidence if profile else 0.0
    for one in graded:
        answer = one.answer
        concept.see(
            confidence=max(0.0, answer.confidence - shift), correct=answer.decision == one.truth, at_us=answer.at_us
        )
    facts = Window(start_us=graded[0].answer.at_us, end_us=graded[-1].answer.at_us + 1, n=len(graded))
    incident = case.incidents.get("performance")
    if incident is not None:
        _follow_performance(case, incident, concept, facts, speaker)
    elif concept.level >= concept.budget:
        expected = profile.accuracy if profile else None
        _open_performance(case, split_of(concept.recent, expected=expected), facts, speaker)


def _open_performance(case: Case, split: Split, facts: Window, speaker: Speaker) -> None:
    assert case.concept is not None
    case.concept.split = split
    label = speaker.pipeline.model.label.name
    incident = case.incidents["performance"] = speaker.open("performance", label, case.champion, _severity(split))
    incident.changed_us = split.since_us
    _say_performance(case, incident, "firing", facts, speaker)


def _follow_performance(case: Case, incident: Incident, concept: Concept, facts: Window, speaker: Speaker) -> None:
    """Tell that it got worse still, or that it is over."""
    if incident.reads(is_calm=concept.level < CALM * concept.budget, readings=facts.n, enough=CALM_LABELS):
        del case.incidents["performance"]
        _say_performance(case, incident, "resolved", facts, speaker)
        concept.split = None
    elif concept.split is not None and incident.rises(_severity(concept.split)):
        _say_performance(case, incident, "updated", facts, speaker)


def _say_performance(case: Case, incident: Incident, state: State, facts: Window, speaker: Speaker) -> None:
    concept = case.concept
    assert concept is not None
    assert concept.split is not None
    speaker.say(incident, "performance", state).with_(
        window=facts,
        evidence=Evidence(
            detector="confidence-bets",
            value=concept.level,
            limit=concept.budget,
            budget=f"1 false alarm per {concept.budget:g} labels",
        ),
        impact=Impact(metric="accuracy", before=concept.split.before, after=concept.split.after),
        change_point=case.trail.change_point(incident.changed_us),
    )


def _severity(split: Split) -> Severity:
    drop = 0.0 if split.before is None else split.before - split.after
    return "fatal" if drop >= FATAL_DROP else "error" if drop >= ERROR_DROP else "warning"
