"""The checkers: what must hold of the topics and the stores once a platform has come to rest, whatever befell it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.e2e import store
from tests.e2e.fold import Folded, Log, Place, fold, fold_copies

from millrace.spec import Deployment
from millrace_common.codec import decode
from millrace_common.ids import stream_prediction_id
from millrace_common.messages import Alert, Candidate, FeatureRow, Label, Message, Position, Prediction, Promotion
from millrace_common.records import Record
from millrace_common.registry import Registry

WITNESSES = 5
ENDS = ("ready", "refused", "failed", "cancelled")
PARTS = ("rows", "labels", "dead", "late", "duplicates", "parked", "moved", "corrected", "replayed")
"""What features counts: `in`, the records of raw-data, is their sum."""


@dataclass(frozen=True)
class Seen:
    """Everything that lies on the topics and in the stores of a platform at rest."""

    deployment: Deployment
    logs: Mapping[str, Log]
    store: Mapping[str, bytes]
    kept: Sequence[Place]
    """The offsets of features in the trainer's table."""
    accepted: Sequence[tuple[int, int, str]]
    """The places and ids that ingest has answered with 202."""

    def records(self, topic: str) -> list[Record]:
        """Return the records of a topic, partition after partition."""
        return [record for records in self.logs[topic] for record in records]


@dataclass
class Found:
    """What was found on a topic: of each id the effective message, and the records that only repeat one."""

    effective: dict[str, Message] = field(default_factory=dict)
    first: dict[str, Record] = field(default_factory=dict)
    repeats: list[Record] = field(default_factory=list)


@dataclass
class Truth:
    """The folds of the logs, and the figures that the checkers leave."""

    folded: Folded
    copies: Mapping[str, Folded]
    figures: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, list[Record]] = field(default_factory=dict)
    """By topic: the records that repeat one before them."""


def same(what: str, found: Collection[object], wanted: Collection[object]) -> None:
    """Assert that two sets are equal, naming a few that are not in both."""
    lost, extra = set(wanted) - set(found), set(found) - set(wanted)
    assert not lost, f"{what}: {len(lost)} lost, such as {_some(lost)}"
    assert not extra, f"{what}: {len(extra)} out of nothing, such as {_some(extra)}"


def truth_of(seen: Seen) -> Truth:
    """Fold raw-data, and the topics of the other entities."""
    deployment = seen.deployment
    copies = {
        entity_type: fold_copies(seen.logs[f"raw-data.by-{entity_type}"], deployment, entity_type)
        for entity_type in deployment.repartitioned
    }
    return Truth(fold(seen.logs["raw-data"], deployment), copies)


def hold_features(seen: Seen, truth: Truth) -> None:
    """C1, C2: each event has one row and each label is said once by effect, and they say what the fold says."""
    found = once(seen.records("features"), FeatureRow, Label)
    wanted: dict[str, Message] = {**truth.folded.rows, **truth.folded.labels}
    for entity_type, folded in truth.copies.items():
        wanted |= folded.rows
        topic = f"raw-data.by-{entity_type}"
        hold_copies(entity_type, seen.logs[topic], truth.folded)
        truth.repeats[topic] = _repeated(seen.records(topic), _origin)
    same("rows and labels", found.effective.keys(), wanted.keys())
    wrong = [id_ for id_, message in wanted.items() if found.effective[id_] != message]
    assert not wrong, f"{len(wrong)} differ, such as {found.effective[wrong[0]]}, not {wanted[wrong[0]]}"
    events = Counter(row.event_id for row in truth.folded.rows.values())
    assert set(events.values()) <= {1}, f"counted more than once: {events.most_common(WITNESSES)}"
    truth.repeats["features"] = found.repeats
    truth.figures |= {"rows": len(truth.folded.rows), "labels": len(truth.folded.labels)}


def hold_copies(entity_type: str, log: Log, raw: Folded) -> None:
    """Assert that each counted event was forwarded once by effect, from each source partition in its order (R12)."""
    origins: set[Place] = set()
    for records in log:
        highest: dict[int, int] = {}
        seen: set[Place] = set()
        for record in records:
            _, partition, offset, _ = str(record.header("millrace-moved")).split("/")
            origin = (int(partition), int(offset))
            assert origin in seen or origin[1] > highest.get(origin[0], -1), f"{origin} comes after a later one"
            seen.add(origin)
            highest[origin[0]] = max(origin[1], highest.get(origin[0], -1))
        assert not seen & origins, "copied into two partitions"
        origins |= seen
    same(f"copies for {entity_type}", origins, raw.forwarded[f"raw-data.by-{entity_type}"])


def hold_store(seen: Seen, truth: Truth) -> None:
    """C3: every value in Redis is the fold's, and every cursor stands at its log's end."""
    held, raw = seen.store, seen.logs["raw-data"]
    explained = store.hold_entities(held, truth.folded, seen.deployment, len(raw))
    own = {spec.entity_type for spec in seen.deployment.events.values()}
    marks = {entity_type: truth.folded.marks.get(entity_type, {}) for entity_type in own}
    explained |= store.hold_cursors(held, "raw-data", marks, _ends(raw))
    for entity_type, folded in truth.copies.items():
        log = seen.logs[f"raw-data.by-{entity_type}"]
        explained |= store.hold_entities(held, folded, seen.deployment, len(raw))
        marks = {entity_type: folded.marks.get(entity_type, {})}
        explained |= store.hold_cursors(held, f"raw-data.by-{entity_type}", marks, _ends(log))
    store.hold_nothing_else(held, explained)
    truth.figures["redis keys"] = len(held)


def hold_accepted(seen: Seen, truth: Truth) -> None:
    """Assert that every event that ingest has answered with 202 lies where the answer says."""
    for partition, offset, event_id in seen.accepted:
        record = seen.logs["raw-data"][partition][offset]
        assert record.offset == offset
        assert record.header("ce_id") in (event_id, None), (partition, offset, event_id)
    truth.figures["accepted"] = len(seen.accepted)


def hold_counts(seen: Seen, truth: Truth) -> None:
    """C6: each record of raw-data has become one thing, and the side topics hold each of those once by effect."""
    folded, figures, raw = truth.folded, truth.figures, seen.logs["raw-data"]
    for topic, places in (
        ("raw-data.dlq", folded.dead),
        ("raw-data.late", folded.late),
        ("raw-data.parked", folded.parked),
    ):
        same(topic, {_source(record) for record in seen.records(topic)}, places)
        figures[topic] = len(places)
        truth.repeats[topic] = _repeated(seen.records(topic), _source)
    origins = [origin for records in raw for record in records if (origin := record.header("millrace-moved"))]
    moved = {tuple(int(part) for part in origin.split("/")[1:3]) for origin in origins}
    same("moved", moved, folded.moved)
    figures |= {
        "in": sum(len(records) for records in raw),
        "moved": len(moved),
        "duplicates": folded.duplicates,
        "repeated moves": folded.repeats,
    }
    label_events = {label.source_event_id for label in folded.labels.values()}
    parts = (
        len(folded.rows), len(label_events), len(folded.dead), len(folded.late), folded.duplicates, len(folded.parked),
        len(folded.moved), folded.repeats,
    )  # fmt: skip
    assert figures["in"] == sum(parts), (figures["in"], parts)
    truth.repeats["raw-data"] = _repeated(seen.records("raw-data"), _origin)
    refused = [topic for topic in seen.logs if topic.endswith(".dlq") and topic != "raw-data.dlq"]
    assert not any(seen.records(topic) for topic in refused), "a message of ours was refused"


def hold_predictions(seen: Seen, truth: Truth, *, scored_from: Mapping[int, int]) -> None:
    """C4: from a model's first prediction in a partition on, each spine row has one effective prediction of it.

    `scored_from`: offsets of features that must lie behind that first prediction.
    """
    found = once(seen.records("predictions"), Prediction, same_bytes=False)
    answers = [p for p in found.effective.values() if isinstance(p, Prediction) and p.via == "stream"]
    for p in answers:
        assert p.prediction_id == stream_prediction_id(p.model, "answer", "", p.row_id or ""), p
        assert p.outcome == "ok", p
    log = seen.logs["features"]
    for model in seen.deployment.models.values():
        scored = {p.row_id for p in answers if p.model == model.name}
        known: set[str] = set()
        due: set[str] = set()
        for partition, records in enumerate(log):
            places = _rows_of(records, model.view.event)
            first = min((max(places[row_id]) for row_id in places.keys() & scored), default=len(records))
            assert first <= scored_from.get(partition, first), f"{model.name} came late to partition {partition}"
            known |= places.keys()
            due |= {row_id for row_id, offsets in places.items() if max(offsets) >= first}
        same(f"predictions of {model.name}", scored & due, due)
        assert scored <= known, f"scored without a row: {_some(scored - known)}"
        truth.figures[f"predictions of {model.name}"] = len(scored)
    truth.repeats["predictions"] = found.repeats


def hold_control(seen: Seen, truth: Truth) -> None:
    """C5: the chain of promotions is whole, a run has one end, an alert one text."""
    registry, decided = Registry(), Counter[tuple[str, str | None]]()
    promotions = seen.records("promotions")
    for record in promotions:
        promotion = decode(record)
        assert isinstance(promotion, Promotion)
        at = Position(topic=record.topic, partition=record.partition, offset=record.offset)
        if registry.fold(promotion, record.value or b"", at):
            decided[promotion.model, promotion.candidate_id] += 1
    assert set(decided.values()) <= {1}, f"decided twice: {decided.most_common(WITNESSES)}"
    candidates = seen.records("model-candidates")
    ends: dict[str, set[tuple[str, str | None, str | None]]] = defaultdict(set)
    for candidate in map(decode, candidates):
        assert isinstance(candidate, Candidate)
        if candidate.status in ENDS:
            digest = candidate.artifact.digest if candidate.artifact else None
            ends[candidate.run_id].add((candidate.status, candidate.candidate_id, digest))
    assert all(len(of_run) == 1 for of_run in ends.values()), f"a run with two ends: {ends}"
    ready = {candidate_id for of_run in ends.values() for status, candidate_id, _ in of_run if status == "ready"}
    assert {candidate_id for _, candidate_id in decided} <= ready
    alerts = once(seen.records("drift-alerts"), Alert)
    truth.figures |= {
        "promotions": sum(decided.values()),
        "void promotions": registry.void,
        "runs": len(ends),
        "candidates": len(ready),
        "alerts": len(alerts.effective),
    }
    repeated = once(candidates, Candidate, same_bytes=False).repeats
    truth.repeats |= {"model-candidates": repeated, "drift-alerts": alerts.repeats}


def hold_trainer(seen: Seen, truth: Truth) -> None:
    """The trainer's table holds each offset of features once."""
    held = Counter(seen.kept)
    assert set(held.values()) <= {1}, f"kept twice: {held.most_common(WITNESSES)}"
    wanted = {(record.partition, record.offset) for record in seen.records("features")}
    same("rows kept by the trainer", held.keys(), wanted)
    truth.figures["rows kept by the trainer"] = len(held)


def once(records: Sequence[Record], *kinds: type[Message], same_bytes: bool = True) -> Found:
    """Return the effective messages of records; one id must not lie in two partitions, nor say two things."""
    found = Found()
    for record in records:
        message = decode(record)
        assert isinstance(message, kinds), f"{type(message).__name__} on {record.topic}"
        first = found.first.get(message.id)
        if first is None:
            found.first[message.id], found.effective[message.id] = record, message
            continue
        assert first.partition == record.partition, f"{message.id} lies in two partitions of {record.topic}"
        if same_bytes:
            assert (first.value, first.headers) == (record.value, record.headers), f"{message.id} says two things"
        found.repeats.append(record)
    return found


def _rows_of(records: Sequence[Record], event_type: str) -> Mapping[str, list[int]]:
    """Return where the spine rows of an event type lie, by their id."""
    places: dict[str, list[int]] = defaultdict(list)
    for record in records:
        message = decode(record)
        if isinstance(message, FeatureRow) and message.spine and message.event_type == event_type:
            places[message.row_id].append(record.offset)
    return places


def _source(record: Record) -> Place:
    return int(str(record.header("millrace-source-partition"))), int(str(record.header("millrace-source-offset")))


def _origin(record: Record) -> Hashable:
    return record.header("millrace-moved")


def _repeated(records: Sequence[Record], identity: Callable[[Record], Hashable]) -> list[Record]:
    """Return the records that name what one before them names; None names nothing."""
    named: set[Hashable] = {None}
    repeats = []
    for record in records:
        if identity(record) in named and identity(record) is not None:
            repeats.append(record)
        named.add(identity(record))
    return repeats


def _ends(log: Log) -> dict[int, int]:
    return {partition: len(records) for partition, records in enumerate(log)}


def _some(things: Collection[object]) -> list[object]:
    return sorted(things, key=str)[:WITNESSES]
