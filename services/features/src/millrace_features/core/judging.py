"""What becomes of a batch, without waiting for anything: gather, judge, say what is to be published and stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from millrace_common.codec import dead_letter
from millrace_common.errors import Misconfigured, Parked
from millrace_common.records import Batch, Outgoing
from millrace_common.slots import Slot
from millrace_engine.steps import APPLIED, COUNTED, DUPLICATE, LATE
from millrace_engine.values import Unreadable
from millrace_features.core import outputs
from millrace_features.core.feeds import Feeds
from millrace_features.core.intake import Admitted, Intake
from millrace_features.core.judged import Judged
from millrace_features.core.lots import Lot
from millrace_features.core.outputs import Arrival
from millrace_features.core.shard import Shard, Stepped


@dataclass(slots=True)
class Load:
    """Asked of whom judges: what the store holds under `keys` of a slot; put into `values`, in their order."""

    slot: Slot
    keys: Sequence[str]
    values: Sequence[bytes | None] = ()


class Ends:
    """Asked of whom judges: where raw-data ends now. A copy claims to come from past what is known of it."""


@dataclass(frozen=True, slots=True)
class Judging:
    """The rules by which a batch is judged. `entities_max`: cached of each entity type and partition."""

    feeds: Feeds
    version: str
    entities_max: int

    def steps(
        self, batch: Batch, intake: Intake, shards: Mapping[str, Shard], ends: Sequence[int]
    ) -> Iterator[Load | Ends | Judged]:
        """Yield what must be known before it goes on, and last what became of the batch. States change in place.

        Raises Misconfigured where the store holds what no writer of this format has left.
        """
        for shard in shards.values():
            shard.table.evict(self.entities_max)
        known = {name: shard.table.slots for name, shard in shards.items()}
        admitted = intake.admit(batch, known, ends)
        if admitted.has_unborn:
            yield Ends()
            admitted = intake.admit(batch, known, ends)
        judged = Judged()
        self._set_aside(batch, admitted, judged)
        for name, shard in shards.items():
            yield from self._judge(shard, [lot for lot in admitted.lots if lot.entity_type == name], judged)
        judged.outgoing = judged.published()
        judged.writes = [(shard, shard.writes(batch.records[0].offset, batch.end)) for shard in shards.values()]
        judged.tally["in"] = len(batch.records)
        del admitted  # thousands of objects go with it: here, and not where the loop would wait for that
        yield judged

    def _set_aside(self, batch: Batch, admitted: Admitted, judged: Judged) -> None:
        """Note what is not judged here: dead letters, parked events, and those of other partitions."""
        aside: dict[int, Outgoing] = {}
        for place, why in admitted.refused.items():
            record = batch.records[place]
            if isinstance(why, Parked):
                aside[place] = outputs.parked(record, str(why))
                judged.tally["parked"] += 1
                continue
            aside[place] = dead_letter(record, why, service_version=self.version)
            judged.tally["dead"] += 1
            judged.reasons[why.reason] += 1
        for lot, homes in admitted.moving:
            judged.tally["moved"] += len(lot)
            for i, home in homes.items():
                aside[lot.places[i]] = outputs.moved(Arrival(lot, i), home)
        judged.aside = [aside[place] for place in sorted(aside)]

    def _judge(self, shard: Shard, lots: Sequence[Lot], judged: Judged) -> Iterator[Load]:
        new = shard.new(lots)
        judged.tally["replayed"] += sum(map(len, lots)) - sum(map(len, new))
        if not new:
            return
        unknown = shard.unknown(new)
        if unknown:
            load = Load(shard.slot, [key for entity in unknown for key in shard.keys(entity)])
            yield load
            try:
                shard.fill(unknown, load.values)
            except Unreadable as error:
                raise Misconfigured(f"{shard.slot.tag}: {error}; point REDIS_URL at an empty store") from error
        for stepped in shard.step(new):
            if stepped.correction is None:
                self._publish(stepped, judged)
            else:
                self._publish_correction(stepped, judged)

    def _publish(self, stepped: Stepped, judged: Judged) -> None:
        """Note what comes of events that were judged: of one class, in log order."""
        lot, tally = stepped.lot, judged.tally
        verdicts = stepped.steps.verdicts
        tally["replayed"] += int(np.count_nonzero(verdicts == APPLIED))
        tally["duplicates"] += int(np.count_nonzero(verdicts == DUPLICATE))
        self._publish_late(stepped.of(LATE), judged)
        counted = stepped.of(COUNTED)
        self._forward(counted, judged)
        if counted.writer.spine and lot.spec.refers_to:
            for i, place in enumerate(counted.lot.places):
                judged.copies.setdefault(place, []).extend(outputs.labels(Arrival(counted.lot, i), self.feeds))
            tally["labels"] += len(counted.lot)
            return
        tally["rows"] += len(counted.lot)
        if len(counted.lot):
            judged.rows.append((counted.lot.places, counted.rows()))

    def _publish_correction(self, stepped: Stepped, judged: Judged) -> None:
        """Note what came of a correction: a row of the corrected event's id, or that it came too late."""
        (verdict,), (place,) = stepped.steps.verdicts, stepped.lot.places
        if verdict == APPLIED:
            judged.tally["replayed"] += 1
        elif verdict == LATE:
            judged.tally["late"] += 1
            judged.results[place] = outputs.not_held(Arrival(stepped.lot, 0))
        else:
            judged.tally["corrected"] += 1
            self._forward(stepped, judged)
            withdrawn = stepped.correction == "withdraw"
            (row,) = stepped.rows(op="withdrawn") if withdrawn else stepped.rows(flags=("corrected",))
            judged.results[place] = row

    def _forward(self, counted: Stepped, judged: Judged) -> None:
        """Note the copies of counted events for other entities that they name."""
        if counted.writer.spine and self.feeds.forwards[counted.lot.spec.type]:
            for i, place in enumerate(counted.lot.places):
                judged.copies[place] = list(outputs.copies(Arrival(counted.lot, i), self.feeds))
                judged.tally["copies"] += len(judged.copies[place])

    def _publish_late(self, late: Stepped, judged: Judged) -> None:
        """Note events that came too late: for their own entity they are set aside, for another one its row says so."""
        judged.tally["late"] += len(late.lot)
        rows = late.rows(late=True) if late.lot and not late.writer.spine else None
        for i, place in enumerate(late.lot.places):
            judged.results[place] = rows[i] if rows else outputs.late(Arrival(late.lot, i))
