"""A small world around the monitor: one model, its rows, labels, predictions, candidates and promotions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from millrace.spec import (
    ColumnSpec,
    Deployment,
    DriftSpec,
    EstimatorSpec,
    EventSpec,
    FieldRef,
    FieldSpec,
    LabelSpec,
    ModelSpec,
    PipelineSpec,
    RetrainSpec,
    RolloutSpec,
    TrainingSpec,
    ViewSpec,
)
from millrace_common import profiles
from millrace_common.codec import encode
from millrace_common.errors import Refused
from millrace_common.ids import sha256, stream_prediction_id
from millrace_common.messages import (
    Alert,
    Arm,
    Candidate,
    FeatureRow,
    Label,
    Message,
    Person,
    Position,
    Prediction,
    Promotion,
    Reason,
)
from millrace_common.messages.candidate import Trigger, ViewFacts
from millrace_common.records import Outgoing

SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US
NOWHERE = Position(topic="raw-data", partition=0, offset=0)
COLUMNS = ("a", "b", "c")


def deployment(
    *,
    retrain: RetrainSpec | None = None,
    drift: DriftSpec | None = None,
    default: bool | None = None,
    matures_after_us: int = 0,
) -> Deployment:
    """Return a deployment of one model, `demo`, over events `tick` with a label seen in `outcome`."""
    tick = EventSpec(
        type="tick",
        class_name="Tick",
        version=1,
        fields=tuple(FieldSpec(name, "float") for name in COLUMNS),
        id_field="id",
        entity_fields=("who",),
        time_field="ts",
    )
    view = ViewSpec(
        "demo_view", "tick", tuple(ColumnSpec(c, "float", FieldRef("tick", c, "float")) for c in COLUMNS), {}, "v" * 32
    )
    label = LabelSpec("Truth", "tick", "outcome", FieldRef("outcome", "up", "bool"), default, matures_after_us)
    model = ModelSpec("demo", view, label, EstimatorSpec("logistic"), "binary", "stream", TrainingSpec())
    pipeline = PipelineSpec(
        name="demo",
        model=model,
        gates=(),
        rollout=RolloutSpec(),
        drift=drift or DriftSpec(window_us=100 * SECOND_US, window_rows_min=100, labels_per_false_alarm=10_000.0),
        retrain=retrain or RetrainSpec(rows_min=200),
        owner="team-demo",
    )
    outcome = replace(tick, type="outcome", class_name="Outcome", refers_field="id", refers_to="tick")
    return Deployment({"tick": tick, "outcome": outcome}, {}, {"Truth": label}, {"demo": pipeline}, "h" * 32)


def profile(rng: Generator, *, accuracy: float = 0.8, rows: int = 4_000) -> bytes:
    """Return the profile.json of columns that are standard normal and scores that say `accuracy`."""
    columns, windows = [], {}
    for name in COLUMNS:
        values = rng.normal(size=rows).astype(np.float32)
        edges, scale = profiles.edges_of(values), profiles.scale_of(values)
        counts = tuple(profiles.count(edges, values).tolist())
        columns.append(profiles.ColumnProfile(name=name, edges=edges, counts=counts, scale=scale))
        windows[name] = profiles.reference_windows(edges, values, window_rows=100, scale=scale)
    scores = np.where(rng.random(rows) < 0.5, accuracy, 1 - accuracy).astype(np.float32)
    edges = profiles.edges_of(scores)
    windows["__score"] = profiles.reference_windows(edges, scores, window_rows=100, scale=0.3)
    return profiles.encode(
        profiles.Profile(
            view_hash="v" * 32,
            columns=tuple(columns),
            score=profiles.Histogram(edges=edges, counts=tuple(profiles.count(edges, scores).tolist())),
            score_scale=0.3,
            reference_windows=windows,
            window_rows=100,
            accuracy=profiles.ReferenceAccuracy(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02, n=rows),
            threshold=0.5,
        )
    )


@dataclass(slots=True)
class FakeArtifacts:
    """Artifacts by digest; one that is not there is refused as corrupt."""

    by_digest: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the files of an artifact."""
        if digest not in self.by_digest:
            raise Refused("artifact-corrupt", f"{uri} is not there")
        return self.by_digest[digest]


@dataclass(slots=True)
class World:
    """Makes the messages that the other services would publish, one instant after the other."""

    rng: Generator
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    accuracy: float = 0.8
    """What the scores say."""
    version: int = 0
    digest: str = ""
    rows: int = 0
    epoch: int = 0
    prev: bytes = b""

    @property
    def now_us(self) -> int:
        """Return the event time of the next row."""
        return START_US + self.rows * SECOND_US

    def promote(self, *, candidate_id: str | None = None, readable: bool = True) -> Outgoing:
        """Return the promotion of the next version."""
        self.version += 1
        self.digest = sha256(b"artifact %d" % self.version)
        if readable:
            self.artifacts.by_digest[self.digest] = {"profile.json": profile(self.rng, accuracy=self.accuracy)}
        return self._promotion("champion", self.digest, str(self.version), candidate_id)

    def reject(self, candidate_id: str) -> Outgoing:
        """Return the step that turns a candidate down."""
        return self._promotion("rejected", sha256(b"rejected"), str(self.version + 1), candidate_id)

    def _promotion(self, state: str, digest: str, version: str, candidate_id: str | None) -> Outgoing:
        arm = Arm(
            name="champion",
            role="answer",
            version=str(self.version),
            digest=self.digest,
            artifact_uri="memory://x",
            view_hash="v" * 32,
            weight_bp=10_000,
        )
        self.epoch += 1
        message = Promotion(
            model="demo",
            epoch=self.epoch,
            prev=sha256(self.prev) if self.prev else None,
            rollout_id=f"r{self.epoch}",
            candidate_id=candidate_id,
            version=version,
            digest=digest,
            from_state="gating",
            to_state=state,
            mode="direct",
            arms=(arm,),
            salt="s",
            reason=Reason(code="gates", text="as told"),
            policy_hash="p",
            actor=Person(name="gatekeeper", role="service"),
            at_us=self.now_us,
        )
        out = encode(message)
        self.prev = out.value or b""
        return out

    def candidate(self, request_id: str, candidate_id: str | None = None, status: str = "ready") -> Outgoing:
        """Return what became of the run that a request asked for."""
        return encode(
            Candidate(
                run_id=f"run-{request_id}",
                model="demo",
                status=status,  # type: ignore[arg-type]  # the test's own word
                trigger=Trigger(kind="request", request_id=request_id),
                candidate_id=candidate_id,
                view=ViewFacts(name="demo_view", hash="v" * 32, columns=(), groups={}),
                objective="binary",
                estimator="logistic",
                author=Person(name="trainer", role="service"),
                started_us=self.now_us,
                finished_us=self.now_us,
            )
        )

    def row(self, *, right: float, shift: Sequence[float] = (0, 0, 0), null: float = 0.0) -> list[Outgoing]:
        """Return one event's row, prediction and label; the prediction is right with chance `right`."""
        event_id, at_us = f"e{self.rows}", self.now_us
        self.rows += 1
        vector = [float(np.float32(x)) for x in self.rng.normal(size=len(COLUMNS)) + np.asarray(shift)]
        told = [None if i == 0 and self.rng.random() < null else x for i, x in enumerate(vector)]
        truth = bool(self.rng.random() < 0.5)
        says_up = truth if self.rng.random() < right else not truth
        score = float(np.float32(self.accuracy if says_up else 1 - self.accuracy))
        return [
            encode(self._row(event_id, at_us, vector)),
            encode(self._prediction(event_id, at_us, told, score)),
            encode(label(event_id, at_us, value=truth)),
        ]

    def _row(self, event_id: str, at_us: int, vector: Sequence[float]) -> FeatureRow:
        return FeatureRow(
            row_id=f"row-{event_id}",
            event_type="tick",
            event_id=event_id,
            entity_type="who",
            entity_id="w",
            spine=True,
            event_time_us=at_us,
            append_time_us=at_us,
            source=NOWHERE,
            late=False,
            groups={},
            fields=dict(zip(COLUMNS, vector, strict=True)),
        )

    def _prediction(self, event_id: str, at_us: int, vector: Sequence[float | None], score: float) -> Prediction:
        return Prediction(
            prediction_id=stream_prediction_id("demo", "answer", "", f"row-{event_id}"),
            model="demo",
            version=str(self.version),
            digest=self.digest,
            epoch=self.epoch,
            role="answer",
            arm="champion",
            propensity=1.0,
            via="stream",
            outcome="ok",
            event_type="tick",
            event_id=event_id,
            row_id=f"row-{event_id}",
            entities={"who": "w"},
            at_us=at_us,
            served_us=at_us,
            score=score,
            threshold=0.5,
            view_hash="v" * 32,
            vector=tuple(vector),
            vector_rate=1.0,
            groups={},
            spine_entity_id="w",
        )


def label(event_id: str, seen_us: int, *, value: bool | None) -> Label:
    """Return a label of `tick`."""
    return Label(
        label_id=f"label-{event_id}-{seen_us}",
        name="Truth",
        event_type="tick",
        event_id=event_id,
        source_event_id=f"outcome-{event_id}",
        value=value,
        seen_time_us=seen_us,
        append_time_us=seen_us,
        source=NOWHERE,
    )


def alerts_of(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Return kind and state of the alerts among messages."""
    return [(one.kind, one.state) for one in messages if isinstance(one, Alert)]
