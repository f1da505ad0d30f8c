"""What comes in for one model, gathered until the next cut. Messages change the monitor's memory here only."""

from dataclasses import dataclass

import msgspec

from millrace.spec import ModelSpec, PipelineSpec
from millrace_common.ids import h
from millrace_common.messages import FeatureRow, Label, Offsets, Prediction
from millrace_common.records import Record
from millrace_monitor.core.accuracy import Accuracy, Known
from millrace_monitor.core.cut import Asked, Closed, Cut, FirstServed, Note, Promoted
from millrace_monitor.core.join import Answer, Graded, Join, News
from millrace_monitor.core.profile import Profile
from millrace_monitor.core.windows import Windows

LABELS_PER_CUT = 50
LABELS_WAIT_US = 60_000_000
VERSIONS_MAX = 100


class Gathered(msgspec.Struct):
    """One model's memory, as it is stored; entries of the join are stored one by one beside it."""

    windows: Windows
    accuracy: Accuracy
    known: Known = msgspec.field(default_factory=Known)
    closed: list[Closed] = []
    graded: list[Graded] = []
    notes: list[Note] = []
    champion: Promoted | None = None
    served: dict[str, int] = {}
    """First prediction by digest."""
    rows_us: int = 0
    """Newest event time of a spine row."""
    predictions_us: int = 0
    rows: int = 0
    predictions: int = 0
    errors: int = 0
    labelled: int = 0
    orphans: int = 0
    asked: int = 0
    cuts: int = 0
    cut_ends: Offsets = {}
    cut_us: int = 0
    cut: Cut | None = None
    """Taken, not judged yet."""


@dataclass(slots=True)
class Intake:
    """Takes messages of one model in and says when a cut is due."""

    spec: ModelSpec
    lateness_us: int
    gathered: Gathered
    join: Join
    profile: Profile | None = None
    changed: bool = False

    @classmethod
    def of(cls, pipeline: PipelineSpec, lateness_us: int) -> "Intake":
        """Return an intake that has seen nothing."""
        drift, label = pipeline.drift, pipeline.model.label
        return cls(
            spec=pipeline.model,
            lateness_us=lateness_us,
            gathered=Gathered(Windows(drift.window_us, drift.window_rows_min), Accuracy(drift.window_us)),
            join=Join.of(default=label.default, matures_after_us=label.matures_after_us, window_us=drift.window_us),
        )

    @property
    def watermark_us(self) -> int:
        """Return the event time that labels may mature up to."""
        return self.gathered.rows_us - self.lateness_us

    def row(self, row: FeatureRow) -> None:
        """Take a row; only spine rows of the model's event matter."""
        if not row.spine or row.event_type != self.spec.view.event or row.op != "row":
            return
        news = News()
        if self.join.row(row.event_id, row.event_time_us, news):
            self.gathered.rows += 1
        self.gathered.rows_us = max(self.gathered.rows_us, row.event_time_us)
        self.join.advance(self.watermark_us, news)
        self._take(news)

    def label(self, label: Label) -> None:
        """Take a label; only the model's own matters."""
        if label.name != self.spec.label.name:
            return
        news = News()
        self.join.label(label.event_id, label.value, label.seen_time_us, news)
        self._take(news)

    def prediction(self, prediction: Prediction, record: Record) -> None:
        """Take an answer; of one event the first counts, errors are counted only."""
        gathered = self.gathered
        self.changed = True
        if prediction.digest not in gathered.served:
            self._first(prediction)
        if prediction.role != "answer" or prediction.outcome != "ok" or not isinstance(prediction.score, float):
            gathered.errors += prediction.outcome == "error"
            return
        news = News()
        known = prediction.event_id or f"prediction:{prediction.prediction_id}"
        if not self.join.answer(known, self._answer(prediction, record, prediction.score), news):
            return
        gathered.predictions += 1
        gathered.predictions_us = max(gathered.predictions_us, prediction.at_us)
        self._watch(prediction, prediction.score)
        self._take(news)

    def promoted(self, note: Promoted, profile: Profile | None) -> None:
        """Take another champion: its own windows begin, half-filled ones of the last are of no use."""
        old = self.gathered.windows
        self.gathered.champion = note
        self.gathered.windows = Windows(old.width_us, old.rows_min, closed_until_us=old.closed_until_us)
        self.profile = profile
        self.note(note)

    def asked(self) -> str:
        """Note that somebody asked for training; return the request's id."""
        self.gathered.asked += 1
        request_id = h(self.spec.name, "manual", self.gathered.asked)
        self.note(Asked(request_id, self.gathered.asked))
        return request_id

    def note(self, note: Note) -> None:
        """Keep what happened for the next cut."""
        self.gathered.notes.append(note)
        self.changed = True

    def is_due(self, now_us: int) -> bool:
        """Say whether there is something to judge and no cut that waits for it; a few labels wait a minute for more."""
        gathered = self.gathered
        if gathered.cut is not None:
            return False
        labels = len(gathered.graded)
        is_old = labels > 0 and now_us - gathered.cut_us >= LABELS_WAIT_US
        return is_old or labels >= LABELS_PER_CUT or bool(gathered.notes or gathered.closed)

    def take_cut(self, ends: Offsets, at_us: int) -> None:
        """Freeze what was gathered. `ends` are the positions read so far, as [0, end)."""
        gathered = self.gathered
        gathered.cuts += 1
        gathered.cut = Cut(
            number=gathered.cuts,
            at_us=at_us,
            watermark_us=self.watermark_us,
            offsets=_since(gathered.cut_ends, ends),
            windows=gathered.closed,
            graded=sorted(gathered.graded, key=_order),
            labelled=gathered.labelled,
            notes=gathered.notes,
        )
        gathered.cut_ends, gathered.cut_us = ends, at_us
        gathered.closed, gathered.graded, gathered.notes = [], [], []
        self.changed = True

    def _take(self, news: News) -> None:
        gathered = self.gathered
        self.changed = True
        gathered.orphans += news.orphans
        gathered.labelled += len(news.believed)
        for label in news.believed:
            gathered.known.add(label)
        for graded in news.graded:
            gathered.accuracy.add(graded)
            gathered.graded.append(graded)

    def _first(self, prediction: Prediction) -> None:
        served = self.gathered.served
        served[prediction.digest] = prediction.served_us
        if len(served) > VERSIONS_MAX:
            del served[next(iter(served))]
        self.note(FirstServed(prediction.digest, prediction.served_us))

    def _answer(self, prediction: Prediction, record: Record, score: float) -> Answer:
        threshold = 0.5 if prediction.threshold is None else prediction.threshold
        decision = score >= threshold
        last_known, majority = self.gathered.known.before(prediction.at_us)
        return Answer(
            at_us=prediction.at_us,
            partition=record.partition,
            offset=record.offset,
            digest=prediction.digest,
            version=prediction.version,
            confidence=score if decision else 1.0 - score,
            decision=decision,
            last_known=last_known,
            majority=majority,
        )

    def _watch(self, prediction: Prediction, score: float) -> None:
        """Count the vector in its window, where it is the champion's and there is a profile to hold it against."""
        gathered, profile = self.gathered, self.profile
        if profile is None or gathered.champion is None or prediction.digest != gathered.champion.digest:
            return
        vector = prediction.vector
        if vector is not None and len(vector) == len(profile.columns) - 1:
            row = (*(value if isinstance(value, float) else None for value in vector), score)
            gathered.windows.add(prediction.at_us, row, profile.layout)
        watermark_us = gathered.predictions_us - self.lateness_us
        if gathered.windows.due_us <= watermark_us:
            closed = gathered.windows.close(watermark_us, profile.layout)
            gathered.closed.extend(Closed(prediction.digest, window) for window in closed)


def _order(graded: Graded) -> tuple[int, int, int]:
    answer = graded.answer
    return answer.at_us, answer.partition, answer.offset


def _since(before: Offsets, ends: Offsets) -> Offsets:
    """Return the offsets read since the last cut."""
    return {
        topic: {
            partition: (before.get(topic, {}).get(partition, (0, 0))[1], end)
            for partition, (_, end) in partitions.items()
        }
        for topic, partitions in ends.items()
    }
