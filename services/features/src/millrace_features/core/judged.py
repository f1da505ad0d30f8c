"""What became of one batch, in the order in which it is told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from millrace_common.records import Bundle, Outgoing
from millrace_common.slots import Cursor
from millrace_common.topics import FEATURES
from millrace_features.core.shard import Shard
from millrace_features.core.sheaves import Laid, merged

Writes = Sequence[tuple[Mapping[str, bytes], Cursor]]
"""The guarded calls that store what a batch changed, in order."""


@dataclass(slots=True)
class Judged:
    """What became of one batch. `aside` never comes to be judged; all else is by place in the batch."""

    aside: list[Outgoing] = field(default_factory=list)
    copies: dict[int, list[Outgoing]] = field(default_factory=dict)
    results: dict[int, Outgoing] = field(default_factory=dict)
    rows: list[tuple[Sequence[int], Laid]] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    outgoing: Sequence[Outgoing] = ()
    """Everything to publish, once all is judged."""
    writes: Sequence[tuple[Shard, Writes]] = ()
    """What is to be stored then."""

    def published(self) -> Sequence[Outgoing]:
        """Return everything to publish: what was set aside, then in log order the copies of an event and its result.

        What goes to the topic of rows stays together; the order of two topics does not matter.
        """
        singles = [(-1, one) for one in self.aside]
        for place in sorted(self.results.keys() | self.copies.keys()):
            singles += [(place, one) for one in self.copies.get(place, ())]
            if place in self.results:
                singles.append((place, self.results[place]))
        if not self.rows:
            return [one for _, one in singles]
        rows = [*self.rows]
        beside = [(place, one) for place, one in singles if one.topic == FEATURES.name]
        if beside:
            places, records = zip(*beside, strict=True)
            rows.append((places, Laid.of(records, rows[0][1].partition)))
        sheaf = rows[0][1] if len(rows) == 1 else merged(rows)
        return Bundle([one for _, one in singles if one.topic != FEATURES.name], sheaf)
