"""One model under watch: what comes in for it, what is judged of it, and the references it is judged against."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace.spec import Deployment, PipelineSpec
from millrace_common.messages import Alert, Arm, Promotion
from millrace_monitor.core.cut import Dropped, Promoted
from millrace_monitor.core.intake import Intake
from millrace_monitor.core.judge import Judge
from millrace_monitor.core.profile import Profile, parse
from millrace_monitor.core.saved import Saved, encode, entry_of, gathered_of, judge_of

TURNED_DOWN = ("rejected", "inconclusive")


class UnknownModel(Exception):
    """No model of that name is watched; the text names those that are."""


class AlreadyAsked(Exception):
    """A request for the model is open; the text is its id."""


@dataclass(slots=True)
class Watch:
    """The memory of one model. `is_written` says whether the cut taken last is stored, so that it may be judged."""

    pipeline: PipelineSpec
    intake: Intake
    judge: Judge
    profiles: dict[str, Profile] = field(default_factory=dict)
    is_written: bool = False
    is_judged: bool = False
    """Judged since it was last stored."""

    @property
    def model(self) -> str:
        """Return the model's name."""
        return self.pipeline.model.name

    def ask(self) -> str:
        """Ask for a new model by hand; return the request's id. Raises AlreadyAsked."""
        request = self.judge.requests.open
        if request is not None:
            raise AlreadyAsked(request.request_id)
        return self.intake.asked()

    def speak(self) -> list[Alert]:
        """Judge the cut that waits and is stored, if there is one."""
        cut = self.intake.gathered.cut
        if cut is None or not self.is_written:
            return []
        self.intake.gathered.cut = None
        self.is_written, self.is_judged, self.intake.changed = False, True, True
        return self.judge.judge(cut, self.pipeline, self.profiles)

    def turn(self, promotion: Promotion, champion: Arm | None, fetched: Mapping[str, bytes | None]) -> dict[str, bytes]:
        """Take one step of a rollout, with the profiles fetched by digest; return the documents that it adds."""
        if promotion.to_state in TURNED_DOWN and promotion.candidate_id is not None:
            self.intake.note(Dropped(promotion.candidate_id, promotion.to_state))
        present = self.intake.gathered.champion
        if champion is None or (present is not None and present.digest == champion.digest):
            return {}
        data = fetched.get(champion.digest)
        if data is not None:
            self.profiles[champion.digest] = parse(data)
        note = Promoted(
            version=champion.version,
            digest=champion.digest,
            at_us=promotion.at_us,
            candidate_id=promotion.candidate_id if champion.digest == promotion.digest else None,
            profile=data is not None,
        )
        self.intake.promoted(note, self.profiles.get(champion.digest))
        return {} if data is None else {f"profile:{champion.digest}": data}

    def changes(self) -> tuple[dict[str, bytes], dict[str, bytes | None]]:
        """Return the documents and entries that changed since this was last asked."""
        documents: dict[str, bytes] = {}
        intake, join = self.intake, self.intake.join
        if intake.changed:
            if intake.profile is not None:
                intake.gathered.windows.fold(intake.profile.layout)
            documents[f"gathered:{self.model}"] = encode(intake.gathered)
        if self.is_judged:
            documents[f"judge:{self.model}"] = encode(self.judge)
        entries = {
            event_id: encode(join.entries[event_id]) if event_id in join.entries else None
            for event_id in sorted(join.changed)
        }
        self.forget_changes()
        return documents, entries

    def forget_changes(self) -> None:
        """Take all changes as stored."""
        self.intake.changed = self.is_judged = False
        self.intake.join.changed.clear()


def watches_of(deployment: Deployment, saved: Saved) -> Mapping[str, Watch]:
    """Return every model of the deployment under watch, going on where the stored memory stopped."""
    watches = {}
    for pipeline in deployment.pipelines.values():
        event = deployment.events[pipeline.model.view.event]
        watch = Watch(pipeline, Intake.of(pipeline, event.lateness_us), Judge())
        watches[watch.model] = watch
        _restore(watch, saved)
    return watches


def _restore(watch: Watch, saved: Saved) -> None:
    gathered = saved.documents.get(f"gathered:{watch.model}")
    judged = saved.documents.get(f"judge:{watch.model}")
    if gathered is not None:
        watch.intake.gathered = gathered_of(gathered)
    if judged is not None:
        watch.judge = judge_of(judged)
    watch.intake.join.restore(
        {event_id: entry_of(data) for event_id, data in saved.entries.get(watch.model, {}).items()}
    )
    watch.is_written = watch.intake.gathered.cut is not None
    for champion in (watch.judge.champion, watch.intake.gathered.champion):
        if champion is not None and champion.profile:
            watch.profiles[champion.digest] = parse(saved.documents[f"profile:{champion.digest}"])
            watch.intake.profile = watch.profiles[champion.digest]
