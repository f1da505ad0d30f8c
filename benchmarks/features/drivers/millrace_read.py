"""Read three groups of cards as serving does: OnlineReader, then Group.read of each value."""

import argparse
import json
from pathlib import Path

import uvloop
from benchmarks.features.drivers.answers import BATCH, asked, clock, without_warming
from benchmarks.features.programs import DECLARED

from millrace.loading import load
from millrace_common.online import OnlineReader
from millrace_common.slots import Wanted
from millrace_common.topics import RAW_DATA
from millrace_engine.entity import EntityPlan, compile_entity


async def answer(reader: OnlineReader, plan: EntityPlan, cards: list[str], at_us: int) -> list[dict[str, object]]:
    """Return the nine features of each card at a time, by group and name."""
    wanted = [Wanted(RAW_DATA.name, "card", card, key) for card in cards for key in plan.group_keys]
    found = iter(await reader.read(wanted))
    return [
        {name: value for group in plan.groups for name, value in group.read(next(found).value, at_us).values.items()}
        for _ in cards
    ]


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
    cards: list[str] = json.loads(given.cards.read_text())
    plan = compile_entity(load([f"{DECLARED}:THREE_GROUPS"]), "card")
    times: dict[str, list[float]] = {}
    async with OnlineReader.connect(given.redis) as reader:
        if given.export:
            kept = await answer(reader, plan, cards, given.at_us)
            given.export.write_text(json.dumps(dict(zip(cards, kept, strict=True))))
        for name, size, count in (("single", 1, given.reads), ("batch", BATCH, given.reads // 10)):
            seconds = []
            for chosen in asked(cards, count, size, given.seed):
                started = clock()
                await answer(reader, plan, chosen, given.at_us)
                seconds.append(clock() - started)
            times[name] = without_warming(seconds)
    print(json.dumps(times))


if __name__ == "__main__":
    uvloop.run(main())
