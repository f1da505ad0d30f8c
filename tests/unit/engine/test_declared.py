"""What a team writes, computed: from the text of a pipeline file to the values of a row, against sums done by hand."""

import math

import pytest
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.tables import Driven
from tests.unit.oracles.windows import Past
from tests.unit.sdk.files import EVENTS, HEAD, LABEL, written

from millrace.loading import load
from millrace.spec import Deployment, Scalar
from millrace_engine.entity import compile_entity

SECOND = 1_000_000
START = 1_714_564_800 * SECOND
GROUPS = """\
class Login(Event):
    card: Field[str] = entity()
    failed: Field[bool]
    ts: Field[datetime] = event_time()

class CardLogins(FeatureGroup, on=Login, by="card"):
    failed = agg.count(where=Login.failed).over("1h")

class CardHabits(FeatureGroup, on=Transaction, by="card"):
    n = agg.count().over("1m", "1h", last=2)
    shops = agg.distinct(Transaction.merchant).over("1h", last=2)
    paid = agg.count(Transaction.merchant).over("1h")
    total = agg.sum(Transaction.amount).over("1h", last=2)
    now = agg.sum(Transaction.amount, include_current=True).over("1h")
    big = agg.mean(Transaction.amount, where=Transaction.amount >= 20).over("1h")
    spread = agg.std(Transaction.amount).over("1h")
    oldest = agg.first(Transaction.amount).over("1h")
    newest = agg.last(Transaction.amount, n=2).over("1m")
    median = agg.quantile(Transaction.amount, 0.5).over("1h")
    faded = agg.decayed_sum(Transaction.amount, half_life="1m")
    level = agg.decayed_mean(Transaction.amount, half_life="1m")
    idle = agg.time_since_last()
    pace = agg.rate().over("1m")
    ratio = agg.ratio(Transaction.amount).over("1h")
    tier = agg.max(Transaction.amount.bucketise(15, 35)).over("1h")
    code = agg.max(Transaction.merchant.fill("none").category("acme", "none")).over("1h")

class CardItems(FeatureGroup, on=Transaction, by=("card", "items")):
    n = agg.count().over("1h")

"""
VIEW = "[CardHabits, CardLogins, CardItems]"
TEXT = f'{HEAD}{EVENTS}{GROUPS}{LABEL}PIPELINE = Pipeline("fraud", model=Model(view={VIEW}, label=Fraud))\n'


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return the deployment of the file."""
    return load([written(tmp_path_factory.mktemp("declared"), TEXT.replace('field(pii="hash")', "field()"))])


def paid(number: int, second: int, amount: float, merchant: str | None) -> Past:
    """Return a transaction."""
    fields: dict[str, Scalar] = {"card": "c", "merchant": merchant, "amount": amount, "items": 1, "online": True}
    return Past(f"t{number}", "transaction", START + second * SECOND, fields)


def login(number: int, second: int, *, failed: bool) -> Past:
    """Return a login."""
    return Past(f"l{number}", "login", START + second * SECOND, {"card": "c", "failed": failed})


LOG = [
    paid(1, 0, 10.0, "acme"),
    login(1, 10, failed=True),
    paid(2, 60, 20.0, None),
    login(2, 70, failed=False),
    paid(3, 90, 60.0, "ajax"),
    paid(4, 120, 30.0, "acme"),
]
EXPECTED: dict[str, Scalar] = {
    "n_1m": 2,
    "n_1h": 3,
    "n_last2": 2,
    "shops_1h": 2,
    "shops_last2": 1,
    "paid_1h": 2,
    "total_1h": 90.0,
    "total_last2": 80.0,
    "now_1h": 120.0,
    "big_1h": 40.0,
    "spread_1h": math.sqrt(((10 - 30) ** 2 + (20 - 30) ** 2 + (60 - 30) ** 2) / 3),
    "oldest_1h": 10.0,
    "newest_1_1m": 60.0,
    "newest_2_1m": 20.0,
    "median_1h": 20.0,
    "faded": 10 * 2**-2.0 + 20 * 2**-1.0 + 60 * 2**-0.5,
    "level": (10 * 2**-2.0 + 20 * 2**-1.0 + 60 * 2**-0.5) / (2**-2.0 + 2**-1.0 + 2**-0.5),
    "idle": 30.0,
    "pace_1m": 2 / 60,
    "ratio_1h": 30.0 / 30.0,
    "tier_1h": 2.0,
    "code_1h": 2.0,
}


def test_every_aggregate_comes_to_what_it_says(deployment: Deployment) -> None:
    """The row of the fourth payment is what the three before it, and the logins, come to by hand."""
    driven = Driven(compile_entity(deployment, "card"))
    rows = driven.step([Logged("c", event) for event in LOG])
    verdict, row = rows[-1]
    habits, logins = row[deployment.groups["CardHabits"].key], row[deployment.groups["CardLogins"].key]
    assert verdict == "counted"
    assert habits.keys() == EXPECTED.keys()
    assert habits == pytest.approx(EXPECTED, rel=1e-6)
    assert logins == {"failed_1h": 1}


def test_an_entity_of_two_fields_has_copies_of_its_events(deployment: Deployment) -> None:
    """A group by card and items counts what both name, apart from the card's own groups."""
    driven = Driven(compile_entity(deployment, "card_items", copies=True))
    rows = driven.step([Logged('["c",1]', event) for event in LOG if event.type == "transaction"])
    assert [row[deployment.groups["CardItems"].key]["n_1h"] for _, row in rows] == [0, 1, 2, 3]
