"""Aggregates as features: what each declaration comes to, by name, window and argument."""

from pathlib import Path

import pytest
from tests.unit.sdk.files import EVENTS, HEAD, LABEL, PIPELINE, WHOLE, written

from millrace.loading import PipelineMistakes, load
from millrace.spec import Deployment, FeatureSpec, FieldRef, Op

HOUR_US = 3_600_000_000
AMOUNT = FieldRef("transaction", "amount", "float")
MERCHANT = FieldRef("transaction", "merchant", "str")
ONLINE = FieldRef("transaction", "online", "bool")


def loaded(folder: Path, body: str, *, by: str = '"card"', view: str = "CardHabits") -> Deployment:
    """Return the deployment of one group with this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    group = f"class CardHabits(FeatureGroup, on=Transaction, by={by}):\n{lines}\n"
    model = f'PIPELINE = Pipeline("fraud", model=Model(view=[{view}], label=Fraud))\n'
    return load([written(folder, HEAD + EVENTS + group + LABEL + model)])


def features(folder: Path, body: str) -> list[FeatureSpec]:
    """Return the features of a group with this body."""
    return list(loaded(folder, body).groups["CardHabits"].features)


@pytest.mark.parametrize("op", ["sum", "mean", "min", "max", "var", "std", "first", "ratio"])
def test_an_aggregate_of_a_number_takes_windows_of_time_and_of_events(tmp_path: Path, op: str) -> None:
    """`<name>_<window>` for each window of time, `<name>_last10` for the entity's last ten events."""
    found = features(tmp_path, f'x = agg.{op}(Transaction.amount, where=Transaction.online).over("1s", "90d", last=10)')
    assert found == [
        FeatureSpec("x_1s", op, AMOUNT, 1_000_000, where=ONLINE),  # type: ignore[arg-type]  # names of the table
        FeatureSpec("x_90d", op, AMOUNT, 90 * 24 * HOUR_US, where=ONLINE),  # type: ignore[arg-type]  # as above
        FeatureSpec("x_last10", op, AMOUNT, None, where=ONLINE, events=10),  # type: ignore[arg-type]  # as above
    ]


def test_count_and_distinct_take_anything(tmp_path: Path) -> None:
    """Events that have a text are counted, and different texts; both are whole numbers in a view."""
    body = 'n = agg.count(Transaction.merchant).over("1h")\nshops = agg.distinct(Transaction.merchant).over(last=64)'
    deployment = loaded(tmp_path, body)
    assert deployment.groups["CardHabits"].features == (
        FeatureSpec("n_1h", "count", MERCHANT, HOUR_US),
        FeatureSpec("shops_last64", "distinct", MERCHANT, None, events=64),
    )
    assert [column.dtype for column in deployment.models["fraud"].view.columns] == ["int", "int"]


def test_last_goes_by_place_and_window(tmp_path: Path) -> None:
    """Without a window the newest n, however old; within one, each place over each window."""
    body = "a = agg.last(Transaction.amount, n=2)\n"
    body += 'b = agg.last(Transaction.amount, n=2).over("1h", last=5)\nc = agg.last(Transaction.amount).over("1h")'
    assert features(tmp_path, body) == [
        FeatureSpec("a_1", "last", AMOUNT, None, n=1),
        FeatureSpec("a_2", "last", AMOUNT, None, n=2),
        FeatureSpec("b_1_1h", "last", AMOUNT, HOUR_US, n=1),
        FeatureSpec("b_1_last5", "last", AMOUNT, None, n=1, events=5),
        FeatureSpec("b_2_1h", "last", AMOUNT, HOUR_US, n=2),
        FeatureSpec("b_2_last5", "last", AMOUNT, None, n=2, events=5),
        FeatureSpec("c_1h", "last", AMOUNT, HOUR_US, n=1),
    ]


def test_what_takes_no_window_is_named_as_it_is_assigned(tmp_path: Path) -> None:
    """A decayed aggregate reaches 32 half-lives back; the time since the last event has no window at all."""
    body = 'total = agg.decayed_sum(Transaction.amount, half_life="6h", include_current=True)\n'
    body += 'level = agg.decayed_mean(Transaction.amount, half_life="1h")\nidle = agg.time_since_last()'
    assert features(tmp_path, body) == [
        FeatureSpec("total", "decayed_sum", AMOUNT, 192 * HOUR_US, include_current=True, half_life_us=6 * HOUR_US),
        FeatureSpec("level", "decayed_mean", AMOUNT, 32 * HOUR_US, half_life_us=HOUR_US),
        FeatureSpec("idle", "time_since_last", None, None),
    ]


def test_quantile_and_rate(tmp_path: Path) -> None:
    """A quantile says which, a rate is over time."""
    body = 'p95 = agg.quantile(Transaction.amount, 0.95).over("1h")\npace = agg.rate(include_current=True).over("1h")'
    assert features(tmp_path, body) == [
        FeatureSpec("p95_1h", "quantile", AMOUNT, HOUR_US, q=0.95),
        FeatureSpec("pace_1h", "rate", None, HOUR_US, include_current=True),
    ]


def test_an_argument_may_be_computed(tmp_path: Path) -> None:
    """An aggregate is of an expression on the event's fields as well as of a field."""
    (feature,) = features(tmp_path, 'x = agg.mean(Transaction.amount.log1p()).over("1h")')
    assert feature.argument == Op("log1p", (AMOUNT,))


def test_features_are_expressions(tmp_path: Path) -> None:
    """A view and a derived value take one feature by what its name ends with, or by the name alone."""
    body = 'mean = agg.mean(Transaction.amount).over("1h", last=10)\ndecay = agg.decayed_sum(Transaction.amount, '
    body += 'half_life="1h")'
    view = 'CardHabits.mean["last10"], CardHabits.decay, derive(CardHabits.decay / CardHabits.mean["1h"], name="r")'
    columns = loaded(tmp_path, body, view=view).models["fraud"].view.columns
    assert [column.name for column in columns] == ["CardHabits.mean_last10", "CardHabits.decay", "r"]


def test_a_group_by_two_fields_is_of_an_entity_of_its_own(tmp_path: Path) -> None:
    """`by=("card", "merchant")` names the entity type `card_merchant`, which has copies of the events."""
    text = WHOLE.replace('by="card"', 'by=("card", "items")')
    deployment = load([written(tmp_path, text)])
    assert deployment.groups["CardSpend"].by == ("card", "items")
    assert deployment.groups["CardSpend"].entity_type == "card_items"
    assert deployment.repartitioned == ("card_items",)


LOGIN = """\
class Login(Event):
    card: Field[str] = entity()
    items: Field[int]
    ts: Field[datetime] = event_time()

class CardLogins(FeatureGroup, on=Login, by=BY):
    n = agg.count().over("1h")

class ItemSales(FeatureGroup, on=Transaction, by="items"):
    n = agg.count().over("1h")

"""


@pytest.mark.parametrize(
    ("by", "view", "taken"),
    [
        ('"card"', "CardLogins", True),
        ('"card"', 'derive(CardLogins.n["1h"] + Transaction.amount, name="x")', True),
        ('"items"', "CardLogins, ItemSales", True),
        ('"items"', "CardLogins", False),
        ('("card", "items")', "CardLogins, ItemSales", False),
    ],
)
def test_a_view_takes_groups_on_other_events_of_the_same_entity(
    tmp_path: Path, by: str, view: str, taken: bool
) -> None:
    """A group on another event stands in the rows of this one where both feed the same entity; elsewhere it cannot."""
    pipeline = PIPELINE.replace("CardSpend, Transaction.amount, amount_ratio", view)
    spec = written(tmp_path, HEAD + EVENTS + LOGIN.replace("BY", by) + LABEL + pipeline)
    if taken:
        assert load([spec]).groups["CardLogins"].event == "login"
    else:
        with pytest.raises(PipelineMistakes, match="the view mixes events: CardLogins is on Login"):
            load([spec])


def test_one_hot_is_a_column_for_each_value(tmp_path: Path) -> None:
    """The columns bear the name of the variable, or of the field, and of the value."""
    text = WHOLE.replace(
        "Transaction.amount, amount_ratio", "cards, Transaction.items.one_hot(-1, 2), Transaction.online"
    )
    text = text.replace("Fraud = ", 'cards = Transaction.card.one_hot("Gold Plus", "blue")\nFraud = ', 1)
    columns = load([written(tmp_path, text)]).models["fraud"].view.columns[-5:]
    assert [column.name for column in columns] == [
        *("cards_gold_plus", "cards_blue", "items_minus_1", "items_2", "online"),
    ]
    assert {column.dtype for column in columns} == {"bool"}
