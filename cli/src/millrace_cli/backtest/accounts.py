"""What a backtest says, computed from its topics alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from millrace.spec import PipelineSpec
from millrace_common.codec import decode
from millrace_common.messages import Alert, FeatureRow, Label, Prediction, Promotion
from millrace_common.records import Record

Log = Mapping[str, Sequence[Sequence[Record]]]


@dataclass(frozen=True, slots=True)
class Answered:
    """One event that was scored and whose truth is known, in the order of answering."""

    event_id: str
    time_us: int
    version: str
    score: float
    decision: bool
    truth: bool
    last_known: bool | None
    majority: bool | None
    vector: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """The events of one model's backtest."""

    answered: tuple[Answered, ...]
    promotions: tuple[Promotion, ...]
    alerts: tuple[Alert, ...]
    rows: int
    labels: int


def in_order(partitions: Sequence[Sequence[Record]]) -> list[Record]:
    """Return a topic's records as they were appended; partitions in turn at one instant."""
    return sorted(
        (r for records in partitions for r in records), key=lambda r: (r.append_time_us, r.partition, r.offset)
    )


def topic_digest(partitions: Sequence[Sequence[Record]]) -> str:
    """Return the sha256 of a topic's keys, headers and values, partition by partition, each part length-prefixed."""
    digest = hashlib.sha256()
    for number, records in enumerate(partitions):
        digest.update(number.to_bytes(4, "big"))
        for record in records:
            parts = (
                record.key,
                record.value,
                *(part for name, value in record.headers for part in (name.encode(), value)),
            )
            for part in parts:
                digest.update(b"-" if part is None else len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()


def story(log: Log, pipeline: PipelineSpec) -> Story:
    """Read a model's story off the topics."""
    rows, labels = _rows_and_labels(log, pipeline)
    truth = {event_id: value for event_id, (_, value) in labels.items()}
    known = _Known(labels)
    answered = []
    for prediction in _first_predictions(log, pipeline.model.name):
        event = rows.get(prediction.event_id or "")
        if event is None or prediction.event_id not in truth or not isinstance(prediction.score, float):
            continue
        last_known, majority = known.before(event.append_time_us)
        answered.append(_answered(prediction, truth[prediction.event_id], last_known, majority))
    promotions = [m for m in map(decode, in_order(log["promotions"])) if isinstance(m, Promotion)]
    alerts = [m for m in map(decode, in_order(log["drift-alerts"])) if isinstance(m, Alert)]
    name = pipeline.model.name
    return Story(
        tuple(answered),
        tuple(p for p in promotions if p.model == name),
        tuple(a for a in alerts if a.model == name),
        len(rows),
        len(labels),
    )


def accuracy(correct: Sequence[bool]) -> float | None:
    """Return the share of correct answers; None of none."""
    return float(np.mean(correct)) if correct else None


def _answered(prediction: Prediction, truth: bool, last_known: bool | None, majority: bool | None) -> Answered:
    assert isinstance(prediction.score, float)
    assert prediction.event_id is not None
    threshold = 0.5 if prediction.threshold is None else prediction.threshold
    vector = tuple(None if value is None else float(value) for value in prediction.vector or ())
    return Answered(
        prediction.event_id,
        prediction.at_us,
        prediction.version,
        prediction.score,
        prediction.score >= threshold,
        truth,
        last_known,
        majority,
        vector,
    )


def _first_predictions(log: Log, model: str) -> list[Prediction]:
    first: dict[str, Prediction] = {}
    for record in in_order(log["predictions"]):
        message = decode(record)
        if isinstance(message, Prediction) and message.model == model and message.event_id:
            first.setdefault(message.event_id, message)
    return list(first.values())


def _rows_and_labels(log: Log, pipeline: PipelineSpec) -> tuple[dict[str, FeatureRow], dict[str, tuple[int, bool]]]:
    label = pipeline.model.label
    rows: dict[str, FeatureRow] = {}
    seen: dict[str, Label] = {}
    for record in in_order(log["features"]):
        message = decode(record)
        if isinstance(message, FeatureRow) and message.spine and message.event_type == label.event:
            rows[message.event_id] = message
        elif isinstance(message, Label) and message.name == label.name:
            newest = seen.get(message.event_id)
            if newest is None or message.seen_time_us >= newest.seen_time_us:
                seen[message.event_id] = message
    labels = {e: (m.append_time_us, bool(m.value)) for e, m in seen.items() if m.value is not None and e in rows}
    if label.default is not None:
        labels = _matured(rows, labels, default=bool(label.default), after_us=label.matures_after_us)
    return rows, labels


def _matured(
    rows: Mapping[str, FeatureRow], labels: Mapping[str, tuple[int, bool]], *, default: bool, after_us: int
) -> dict[str, tuple[int, bool]]:
    """Return the labels of events old enough for a default; younger ones would count only where the truth was early."""
    end_us = max((row.event_time_us for row in rows.values()), default=0)
    mature = {event_id: row.event_time_us + after_us for event_id, row in rows.items()}
    return {event_id: labels.get(event_id, (at_us, default)) for event_id, at_us in mature.items() if at_us <= end_us}


class _Known:
    """The labels that were known before a time: the last of them, and which value led."""

    def __init__(self, labels: Mapping[str, tuple[int, bool]]) -> None:
        ordered = sorted(labels.values())
        self._times = np.array([time for time, _ in ordered], np.int64)
        self._values = np.array([value for _, value in ordered], bool)
        self._positives = np.concatenate([[0], np.cumsum(self._values)])

    def before(self, time_us: int) -> tuple[bool | None, bool | None]:
        n = int(np.searchsorted(self._times, time_us, side="left"))
        if n == 0:
            return None, None
        return bool(self._values[n - 1]), bool(2 * self._positives[n] > n)
