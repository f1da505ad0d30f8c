"""Planted breaks: what a platform left, spoilt in one place. Each must be found by the checker that is there for it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
from tests.e2e import checks
from tests.e2e.checks import Seen, Truth
from tests.e2e.fold import Log

from millrace_common.codec import decode, encode_value
from millrace_common.messages import Candidate, FeatureRow
from millrace_common.records import Record

Spoil = Callable[[Seen], Seen]
Check = Callable[[Seen, Truth], None]
Altered = Callable[[Record], Record | None]


def unfound(seen: Seen, truth: Truth) -> list[str]:
    """Return the planted breaks that their checker does not find."""
    return [what for what, spoil, check in PLANTED if passes(spoil(seen), truth, check)]


def passes(seen: Seen, truth: Truth, check: Check) -> bool:
    """Say whether a checker is content; it works on a truth of its own, so that no figure is left behind."""
    try:
        check(seen, replace(truth, figures={}, repeats={}))
    except (AssertionError, KeyError, IndexError):
        return False
    return True


def predictions(seen: Seen, truth: Truth) -> None:
    """Hold predictions from the first on."""
    checks.hold_predictions(seen, truth, scored_from={})


def _topic(seen: Seen, topic: str, log: Log) -> Seen:
    return replace(seen, logs={**seen.logs, topic: log})


def _last(topic: str, alter: Altered) -> Spoil:
    """Alter the last record of a topic that was said only once, or take it away."""

    def spoil(seen: Seen) -> Seen:
        times = Counter(map(_identity, seen.records(topic)))
        chosen = [record for record in seen.records(topic) if times[_identity(record)] == 1][-1]
        altered = alter(chosen)
        log = seen.logs[topic]
        without = [[record for record in records if record is not chosen] for records in log]
        return _topic(seen, topic, without if altered is None else _added(without, altered))

    return spoil


def _again(topic: str, alter: Altered) -> Spoil:
    """Say the last record of a topic again, altered."""

    def spoil(seen: Seen) -> Seen:
        altered = alter(seen.records(topic)[-1])
        assert altered is not None
        return _topic(seen, topic, _added(seen.logs[topic], altered))

    return spoil


def _ended_twice(seen: Seen) -> Seen:
    """Let a run that has ended fail as well."""
    for record in seen.records("model-candidates"):
        candidate = decode(record)
        if isinstance(candidate, Candidate) and candidate.status == "ready":
            failed = msgspec.structs.replace(candidate, status="failed", artifact=None, candidate_id=None)
            return _topic(
                seen,
                record.topic,
                _added(seen.logs[record.topic], msgspec.structs.replace(record, value=encode_value(failed))),
            )
    raise AssertionError("no run has ended")


def _identity(record: Record) -> tuple[str | None, ...]:
    names = ("ce_id", "millrace-moved", "millrace-source-partition", "millrace-source-offset")
    return tuple(record.header(name) for name in names)


def _added(log: Log, record: Record) -> Log:
    return [[*records, record] if partition == record.partition else records for partition, records in enumerate(log)]


def _nothing(_record: Record) -> None:
    return None


def _spaced(record: Record) -> Record:
    """Return a record that says the same in other bytes."""
    return msgspec.structs.replace(record, value=(record.value or b"") + b" ")


def _elsewhere(record: Record) -> Record:
    """Return a feature row or a label that names another time."""
    message = decode(record)
    time_field = "event_time_us" if isinstance(message, FeatureRow) else "seen_time_us"
    return msgspec.structs.replace(record, value=encode_value(msgspec.structs.replace(message, **{time_field: 1})))


def _stored(part: str, alter: Callable[[bytes], bytes | None]) -> Spoil:
    """Alter the first stored value of a kind, or take it away."""

    def spoil(seen: Seen) -> Seen:
        key = next(key for key in sorted(seen.store) if part in key)
        altered = alter(seen.store[key])
        rest = {other: value for other, value in seen.store.items() if other != key}
        return replace(seen, store=rest if altered is None else {**rest, key: altered})

    return spoil


def _stale(value: bytes) -> bytes:
    """Return a value that stands at an earlier offset."""
    offset = int.from_bytes(value[8:16], "little", signed=True)
    return value[:8] + (offset - 1).to_bytes(8, "little", signed=True) + value[16:]


PLANTED: tuple[tuple[str, Spoil, Check], ...] = (
    ("an accepted event is lost", lambda seen: replace(seen, accepted=[(0, 10**9, "x")]), checks.hold_accepted),
    ("a row or label is lost", _last("features", _nothing), checks.hold_features),
    ("a row or label is another", _last("features", _elsewhere), checks.hold_features),
    ("a row or label says two things", _again("features", _spaced), checks.hold_features),
    ("a copy is lost", _last("raw-data.by-merchant", _nothing), checks.hold_features),
    ("a value in Redis is lost", _stored(":v:", lambda _: None), checks.hold_store),
    ("a value in Redis is stale", _stored(":v:", _stale), checks.hold_store),
    ("an id horizon is stale", _stored(":i:", _stale), checks.hold_store),
    ("a cursor is lost", _stored(":c:", lambda _: None), checks.hold_store),
    ("a key in Redis has no event", lambda seen: replace(seen, store={**seen.store, "fs:x": b""}), checks.hold_store),
    ("a dead letter is lost", _last("raw-data.dlq", _nothing), checks.hold_counts),
    ("a late event is lost", _last("raw-data.late", _nothing), checks.hold_counts),
    ("a parked event is lost", _last("raw-data.parked", _nothing), checks.hold_counts),
    ("a prediction is lost", _last("predictions", _nothing), predictions),
    ("a run ends twice", _ended_twice, checks.hold_control),
    ("an alert says two things", _again("drift-alerts", _spaced), checks.hold_control),
    ("a row is kept twice", lambda seen: replace(seen, kept=[*seen.kept, seen.kept[0]]), checks.hold_trainer),
    ("a row is not kept", lambda seen: replace(seen, kept=seen.kept[1:]), checks.hold_trainer),
)
