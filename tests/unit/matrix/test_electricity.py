"""The edges of a window, by a label that is made of one."""

import random

from tests.fakes.features.stage import Stage
from tests.matrix import market
from tests.matrix.market import DAY_ROWS

from millrace.loading import load

ROWS = 1_500


def made_up() -> list[dict[str, float]]:
    """Return rows whose label says that the price is above the mean of the 48 before it; prices come in a few steps."""
    rng, rows = random.Random(5), list[dict[str, float]]()
    for i in range(ROWS):
        row = {name: rng.random() for name in market.NUMBERS}
        row["nswprice"] = round(rng.choice([0.2, 0.5, 0.8]) + rng.random() / 1_000, 6)
        before = [past["nswprice"] for past in rows[-DAY_ROWS:]]
        rows.append(row | {"class": float(i > 0 and row["nswprice"] > sum(before) / len(before))})
    return rows


async def test_a_window_of_a_day_holds_the_48_half_hours_before() -> None:
    """The label agrees in every row after the first day; a window that is a row off does not."""
    rows = made_up()
    stage = Stage(load(["tests/matrix/electricity.py:PIPELINE"]), partitions=1)
    await stage.bus.publish(market.events(rows))
    await stage.run()
    found = market.agreement(rows, stage.records("features"))
    assert found == (ROWS - DAY_ROWS, ROWS - DAY_ROWS)
    assert market.of_last(rows, DAY_ROWS).share == 1
    wrong = (market.of_last(rows, DAY_ROWS + 1), market.of_last(rows, DAY_ROWS - 1))
    assert max(one.agree for one in (*wrong, market.of_last(rows, DAY_ROWS, current=True))) < ROWS - DAY_ROWS
