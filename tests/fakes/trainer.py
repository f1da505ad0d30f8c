"""A small deployment, its rows and labels, and a trainer on memory, for the trainer's tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from millrace.spec import (
    ColumnSpec,
    Const,
    Deployment,
    DriftSpec,
    EstimatorSpec,
    EventSpec,
    FeatureRef,
    FeatureSpec,
    FieldRef,
    FieldSpec,
    GroupSpec,
    LabelSpec,
    ModelSpec,
    Op,
    PipelineSpec,
    RetrainSpec,
    RolloutSpec,
    Scalar,
    TrainingSpec,
    ViewSpec,
)
from millrace_common.clock import VirtualClock
from millrace_common.codec import encode
from millrace_common.host import Host
from millrace_common.messages import Alert, FeatureRow, Label, Message, Position, Promotion
from millrace_common.messages.alert import Retrain
from millrace_common.records import Batch, Outgoing, Record, TopicPartition

SECOND = 1_000_000
GROUP = "Spend@aaaaaaaa"


def deployment(
    *,
    default: Scalar = None,
    matures_after_us: int = 0,
    estimator: EstimatorSpec | None = None,
    training: TrainingSpec | None = None,
) -> Deployment:
    """Return one pipeline: sales by card, three inputs, a label seen later."""
    sale = EventSpec("sale", "Sale", 1, (FieldSpec("amount", "float"),), "id", ("card",), "ts")
    verdict = EventSpec("verdict", "Verdict", 1, (), None, (), "ts", refers_field="id", refers_to="sale")
    group = GroupSpec("Spend", "sale", ("card",), (FeatureSpec("n", "count", None, SECOND),), "aaaaaaaabbbb")
    amount, count = FieldRef("sale", "amount", "float"), FeatureRef("Spend", "n")
    columns = (
        ColumnSpec("amount", "float", amount),
        ColumnSpec("n", "float", count, "Spend"),
        ColumnSpec("ratio", "float", Op("div", (amount, Op("add", (count, Const(1.0)))))),
    )
    view = ViewSpec("sales", "sale", columns, {"Spend": GROUP}, "viewhash")
    label = LabelSpec("Fraud", "sale", "verdict", Const(True), default, matures_after_us)
    model = ModelSpec(
        "fraud",
        view,
        label,
        estimator or EstimatorSpec("lightgbm", {"num_iterations": 20}),
        "binary",
        "both",
        training or TrainingSpec(bootstrap_rows=200),
    )
    pipeline = PipelineSpec("fraud", model, (), RolloutSpec(), DriftSpec(3_600 * SECOND), RetrainSpec())
    return Deployment({"sale": sale, "verdict": verdict}, {"Spend": group}, {"Fraud": label}, {"fraud": pipeline}, "d")


def row(i: int, **changes: object) -> FeatureRow:
    """Return the spine row of the i-th sale; the label follows the amount."""
    rng = np.random.default_rng(i)
    amount = float(rng.normal())
    facts: dict[str, object] = {
        "row_id": f"r{i}",
        "event_type": "sale",
        "event_id": f"e{i}",
        "entity_type": "card",
        "entity_id": f"card{i % 7}",
        "spine": True,
        "event_time_us": i * SECOND,
        "append_time_us": i * SECOND,
        "source": Position(topic="raw-data", partition=0, offset=i),
        "groups": {GROUP: {"n": float(i % 5)}},
        "fields": {"amount": None if i % 11 == 0 else amount},
    }
    return FeatureRow(**{**facts, **changes})  # type: ignore[arg-type]  # the test states them by name


def label(i: int, value: Scalar = "truth", **changes: object) -> Label:
    """Return the label of the i-th sale: true for a positive amount, one in ten turned."""
    if value == "truth":
        rng = np.random.default_rng(i)
        value = bool((rng.normal() > 0) != (rng.random() < 0.1))
    facts: dict[str, object] = {
        "label_id": f"l{i}",
        "name": "Fraud",
        "event_type": "sale",
        "event_id": f"e{i}",
        "source_event_id": f"v{i}",
        "value": value,
        "seen_time_us": (i + 5) * SECOND,
        "append_time_us": (i + 5) * SECOND,
        "source": Position(topic="raw-data", partition=0, offset=i),
    }
    return Label(**{**facts, **changes})  # type: ignore[arg-type]  # the test states them by name


def history(n: int, *, first: int = 0) -> list[FeatureRow | Label]:
    """Return n sales, each followed by its label."""
    return [message for i in range(first, first + n) for message in (row(i), label(i))]


def retrain(request_id: str, *, cut: int = 0, rows_min: int = 0, train_from: int | None = None) -> Alert:
    """Return a request of the monitor, which had read the features topic up to `cut`."""
    start = None if train_from is None else {"features": {"0": (train_from, train_from)}}
    return Alert(
        alert_id=f"a-{request_id}",
        incident_id="incident",
        revision=1,
        kind="retrain",
        state="requested",
        severity="info",
        model="fraud",
        cut={"features": {"0": (0, cut)}},
        retrain=Retrain(request_id=request_id, reason="performance", rows_min=rows_min, train_from=start),
        at_us=7,
        correlation_id="corr",
    )


@dataclass(slots=True)
class Log:
    """One partition of a topic: numbers messages as the broker does."""

    topic: str
    partition: int = 0
    end: int = 0

    def batch(self, messages: Sequence[Message]) -> Batch:
        """Append messages and return them as one batch."""
        records = []
        for message in messages:
            out: Outgoing = encode(message)
            records.append(Record(self.topic, self.partition, self.end, out.key, out.value, out.headers, 0))
            self.end += 1
        return Batch(TopicPartition(self.topic, self.partition), records)


@dataclass(slots=True)
class Sent:
    """A publisher that remembers."""

    records: list[Outgoing] = field(default_factory=list)

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Remember what is sent."""
        self.records.extend(records)
        return [Position(topic=record.topic, partition=0, offset=0) for record in records]

    async def partitions(self, topic: str) -> int:
        """Return one."""
        return 1


def host(of: Deployment, publisher: Sent | None = None) -> Host:
    """Return surroundings on a virtual clock."""
    return Host(of, publisher or Sent(), VirtualClock(1_000), "0", "0.1.0")


def promotion(**facts: object) -> Promotion:
    """Return the first promotion of the model."""
    base: dict[str, object] = {
        "model": "fraud",
        "epoch": 1,
        "rollout_id": "x",
        "version": "1",
        "from_state": "gating",
        "to_state": "rejected",
        "mode": "direct",
        "arms": (),
        "salt": "",
        "reason": {"code": "c", "text": "t"},
        "policy_hash": "",
        "actor": {"name": "gatekeeper", "role": "service"},
        "at_us": 1,
    }
    return Promotion(**{**base, **facts})  # type: ignore[arg-type]  # the test states them by name
