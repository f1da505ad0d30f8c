"""Read three groups of cards as serving does: OnlineReader, then GroupReader of all that it holds."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from benchmarks.features.drivers.answers import BATCH, asked, clock, spare_the_collector, without_warming
from benchmarks.features.programs import DECLARED

from millrace.loading import load
from millrace_common.online import OnlineReader
from millrace_common.slots import Wanted
from millrace_common.topics import RAW_DATA
from millrace_engine.entity import compile_entity
from millrace_engine.groups import GroupReader, GroupValues, Unreadable


@dataclass(frozen=True, slots=True)
class Cards:
    """All groups of cards, read together."""

    online: OnlineReader
    groups: GroupReader
    keys: tuple[str, ...]

    async def answer(self, cards: Sequence[str], at_us: int) -> list[list[GroupValues | Unreadable]]:
        """Return the features of each card at a time, group by group, each with its status, age and source."""
        wanted = [Wanted(RAW_DATA.name, "card", card, key) for card in cards for key in self.keys]
        held = await self.online.read(wanted)
        return self.groups.read([one.value for one in held], [at_us] * len(cards))


def features(of_groups: Sequence[GroupValues | Unreadable]) -> dict[str, object]:
    """Return the features of one card by name. Raises Unreadable."""
    found: dict[str, object] = {}
    for one in of_groups:
        if isinstance(one, Unreadable):
            raise one
        found |= one.values
    return found


async def main() -> None:
    """Print the times; with --export, keep every card's values for the peer to hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--at-us", type=int, required=True)
    parser.add_argument("--cards", type=Path, required=True)
    parser.add_argument("--reads", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--export", type=Path)
    given = parser.parse_args()
    names: list[str] = json.loads(given.cards.read_text())
    plan = compile_entity(load([f"{DECLARED}:THREE_GROUPS"]), "card")
    times: dict[str, list[float]] = {}
    async with OnlineReader.connect(given.redis) as online:
        cards = Cards(online, GroupReader.of(plan.groups), plan.group_keys)
        if given.export:
            kept = map(features, await cards.answer(names, given.at_us))
            given.export.write_text(json.dumps(dict(zip(names, kept, strict=True))))
        spare_the_collector()
        for name, size, count in (("single", 1, given.reads), ("batch", BATCH, given.reads // 10)):
            seconds = []
            for chosen in asked(names, count, size, given.seed):
                started = clock()
                await cards.answer(chosen, given.at_us)
                seconds.append(clock() - started)
            times[name] = without_warming(seconds)
    print(json.dumps(times))


if __name__ == "__main__":
    uvloop.run(main())
