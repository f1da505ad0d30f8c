"""What cannot work is refused at load: each mistake with its line, all of them at once, each with a mend."""

from pathlib import Path

import pytest
from tests.unit.sdk.files import EVENTS, WHOLE, written

from millrace.loading import PipelineMistakes, load

BIG = 'agg.count(where=Transaction.amount > 500).over("1h")'
IN_MODEL = "view=[CardSpend, Transaction.amount, amount_ratio]"
CASES = [
    # events
    ("    amount: Field[float]", "    amount: float", "Transaction.amount has no type of a field"),
    ("    items: Field[int]", "    items: Field[bytes]", "Transaction.items has no type of a field"),
    ("    items: Field[int]", "    items: Field[int | str]", "Transaction.items has no type of a field"),
    ("    items: Field[int]", "    type: Field[int]", "Transaction.type: the name is reserved"),
    ("    items: Field[int]", "    Items: Field[int]", "a field cannot be named `Items`"),
    (
        "class Transaction(Event)",
        'class Transaction(Event, type="Bad Name")',
        "an event type cannot be named `Bad Name`",
    ),
    ("class Transaction(Event)", "class Transaction(Event, version=0)", "Transaction's version is 0"),
    ("    card: Field[str] = entity()", "    card: Field[str]", "Transaction has no entity"),
    ("    card: Field[str]", "    card: Field[float]", "Transaction.card identifies by a float"),
    ("    card: Field[str]", "    card: Field[str | None]", "Transaction.card may be absent"),
    ('event_time(lateness="10m", max_future="30s")', "field()", "Transaction has no event_time"),
    ("    online: Field[bool]", "    at: Field[datetime] = event_time()", "Transaction has several event times"),
    (
        "    online: Field[bool]",
        "    online: Field[str] = event_id()",
        "Transaction has several fields that are its id",
    ),
    ('lateness="10m"', 'lateness="10 minutes"', "lateness: `10 minutes` is no duration"),
    ("field(ge=0)", "field(ge=0, gt=0)", "Transaction.amount has two limits on one side"),
    ("field(ge=0)", "field(ge=5, le=1)", "Transaction.amount: no number is within its limits"),
    ("    online: Field[bool]", "    online: Field[bool] = field(ge=0)", "Transaction.online: limits on a bool"),
    ("    items: Field[int]", '    items: Field[int] = field(pii="hash")', 'Transaction.items: pii="hash" on a int'),
    ('= event_id(dedupe="24h")', "", "Chargeback.txn_id refers to Transaction, which has no id"),
    ("    txn_id: Field[str] = refers", "    txn_id: Field[int] = refers", "Chargeback.txn_id is no id of Transaction"),
    ("refers_to(Transaction)", "entity()", "Chargeback does not say which Transaction it is about"),
    # groups
    ('by="card"', 'by="zip"', "CardSpend is by `zip`, no field of Transaction"),
    ('by="card"', 'by="merchant"', "CardSpend is by `merchant`, which cannot name an entity"),
    ('over("1h")', 'over("91d")', "big is over 91d"),
    ('over("1h")', 'over("999ms")', "big's window is 999ms"),
    ('over("1h")', "over(last=65)", "big is over last=65"),
    ('over("1h")', "over(last=0)", "big is over last=0"),
    ('over("1h")', "over(last=True)", "big is over last=True"),
    ('over("1h")', 'over("1 h")', "big's window: `1 h` is no duration"),
    ('over("1h")', "over()", "big is over no window"),
    ('.over("1h")', "", "big has no window"),
    ('lateness="10m"', 'lateness="30h"', "CardSpend: a window of 1m is too short beside the lateness 30h"),
    ("    big", "    Big", "a feature cannot be named `Big`"),
    ("    big", "    n = agg.count().over('1h', '1h')\n    big", "CardSpend has two features n_1h"),
    ("n=3", "n=0", "last3: last of n=0"),
    ("n=3", "n=65", "last3: last of n=65"),
    ("n=3)", "n=65).over('1h')", "last3: last of n=65"),
    ("n=3)", "n=3, include_current=1)", "last3's include_current is 1"),
    (BIG, "agg.rate().over(last=3)", "big: a rate over events, not over time"),
    (BIG, 'agg.quantile(Transaction.amount, 1.0).over("1h")', "big is the quantile 1.0"),
    (BIG, 'agg.quantile(Transaction.amount, 0).over("1h")', "big is the quantile 0"),
    (BIG, 'agg.quantile(Transaction.amount, "half").over("1h")', "big is the quantile half"),
    (BIG, 'agg.std(Transaction.merchant).over("1h")', "big is of a str"),
    (BIG, 'agg.ratio(Transaction.online).over("1h")', "big is of a bool"),
    (BIG, 'agg.decayed_sum(Transaction.amount, half_life="6h").over("1h")', "agg.decayed_sum takes no window"),
    (BIG, "agg.time_since_last().over(last=3)", "agg.time_since_last takes no window"),
    (BIG, 'agg.decayed_mean(Transaction.amount, half_life="68h")', "big's half_life is 68h"),
    (BIG, 'agg.decayed_mean(Transaction.amount, half_life="10ms")', "big's half_life is 10ms"),
    (BIG, 'agg.decayed_mean(Transaction.amount, half_life="soon")', "big's half_life: `soon` is no duration"),
    (BIG, 'agg.custom(5, Transaction.amount).over("1h")', "big is by 5, no aggregate"),
    (BIG, 'agg.sum(CardSpend).over("1h")', "NameError: name 'CardSpend' is not defined"),
    (BIG, 'agg.mean(None).over("1h")', "big is of nothing"),
    (BIG, 'agg.count().over("1h")["1h"]', "big is no aggregate"),
    (BIG, "Transaction.amount * 2", "big is no aggregate"),
    (BIG, "agg.last(Transaction.amount, n=2).over(last=1)", "big: last of n=2 over last=1"),
    ('by="card"', "by=()", "CardSpend is by ()"),
    ('by="card"', 'by=("card", "card")', "CardSpend is by ('card', 'card')"),
    # transforms
    (IN_MODEL, "view=[derive(Transaction.amount.clip(5, 1), name='x')]", "the view: clip(5, 1)"),
    (IN_MODEL, "view=[derive(Transaction.amount.scale(5, 0), name='x')]", "the view: scale(5, 0)"),
    (IN_MODEL, "view=[derive(Transaction.amount.bucketise(), name='x')]", "the view: bucketise()"),
    (IN_MODEL, "view=[derive(Transaction.amount.bucketise(1, 1), name='x')]", "the view: bucketise(1, 1)"),
    (IN_MODEL, "view=[derive(Transaction.amount.bucketise(float('inf')), name='x')]", "inf is no finite number"),
    (IN_MODEL, "view=[derive(Transaction.amount + 10**400, name='x')]", "is no finite number"),
    (IN_MODEL, "view=[derive(Transaction.card.hash_bucket(1), name='x')]", "the view: hash_bucket(1)"),
    (IN_MODEL, "view=[derive(Transaction.amount.hash_bucket(9), name='x')]", "`hash_bucket` of float and int"),
    (IN_MODEL, "view=[derive(Transaction.card.category(), name='x')]", "the view: category()"),
    (IN_MODEL, "view=[derive(Transaction.card.category('a', 'a'), name='x')]", "the view: category('a', 'a')"),
    (IN_MODEL, "view=[derive(Transaction.card.log1p(), name='x')]", "`log1p` of str"),
    (IN_MODEL, "view=[derive(Transaction.amount.clip(Transaction.items, 9), name='x')]", "the view: clip(Field, 9)"),
    (IN_MODEL, "view=[derive(Transaction.merchant == 'acme', name='x')]", "of merchant is kept, which is never 'acme'"),
    (
        IN_MODEL,
        "view=[derive(Transaction.merchant.category('a'), name='x')]",
        "of merchant is kept, which is never 'a'",
    ),
    (IN_MODEL, "view=[Transaction.card.one_hot()]", "card is one_hot of no values"),
    (IN_MODEL, "view=[Transaction.card.one_hot('a', 'A')]", "the view has card_a twice"),
    (IN_MODEL, "view=[Transaction.card.one_hot(5)]", "`eq` of str and int"),
    (IN_MODEL, "view=[(Transaction.amount + 1).one_hot(5)]", "the view holds a one_hot without a name"),
    ("Transaction.amount > 500", "Transaction.amount", "big's where is a float"),
    ("Transaction.amount > 500", 'Transaction.amount > "5"', "big's where: `gt` of float and str"),
    ("Transaction.amount > 500", "Transaction.card == 5", "big's where: `eq` of str and int"),
    ("agg.mean(Transaction.amount)", "agg.mean(Transaction.card)", "mean is of a str"),
    ("agg.mean(Transaction.amount)", "agg.mean(Transaction.online)", "mean is of a bool"),
    # views and models
    ('CardSpend.mean["24h"]', 'CardSpend.mean["2h"]', "CardSpend has no feature mean_2h"),
    (IN_MODEL, "view=[Transaction.card]", "the view's card is a str; this version takes numbers and bools"),
    (IN_MODEL, "view=[Transaction.ts]", "the view's ts is a datetime; this version takes numbers and bools"),
    (IN_MODEL, "view=[CardSpend, CardSpend.n]", "the view has CardSpend.n_1m twice"),
    (IN_MODEL, "view=[Transaction.amount > 5]", "the view holds an expression without a name"),
    (IN_MODEL, "view=[]", "an empty view"),
    (IN_MODEL, "view=[5]", "the view holds 5"),
    (IN_MODEL, "view=[agg.last(Transaction.amount)]", "the view: a feature that is in no group"),
    (IN_MODEL, 'view=[CardSpend], score="x"', "score='x' is not available"),
    (IN_MODEL, 'view=[CardSpend], objective="rank"', "objective='rank' is not available"),
    (IN_MODEL, "view=[CardSpend], bootstrap=3", "bootstrap is 3"),
    ('matures_after="45d"', 'matures_after="6w"', "matures_after: `6w` is no duration"),
    ("value=True", "value=Chargeback.txn_id", "the label's value is a str, no true or false"),
    ("value=True", "value=Transaction.online", "the label's value: Transaction.online is a field of another event"),
    ("default=False", "default=0.5", "the label's default is 0.5"),
    # policies
    ("label=Fraud)", "label=Fraud), rollout=Shadow()", "Shadow is not available in this version"),
    ("label=Fraud)", "label=Fraud), gates=[Floor()]", "a floor without a limit"),
    ("label=Fraud)", "label=Fraud), gates=[Floor(at_least=90)]", "a floor of 90"),
    ("label=Fraud)", "label=Fraud), gates=[Schema(), Schema()]", "two gates schema"),
    ("label=Fraud)", "label=Fraud), gates=[NonInferior(margin=-1)]", "a margin of -1"),
    ("label=Fraud)", 'label=Fraud), drift=Drift(budget="few")', "the budget 'few' is not understood"),
    ("label=Fraud)", 'label=Fraud), drift=Drift(window="0s")', "drift's window is 0s"),
    ("label=Fraud)", "label=Fraud), retrain=Retrain(every_rows=0)", "every_rows is 0"),
    ('Pipeline("fraud"', 'Pipeline("Fraud detector"', "a pipeline cannot be named `Fraud detector`"),
    # values that a type checker would refuse, for those who run none
    ("label=Fraud)", "label=None)", "label is None"),
    (", label=Fraud)", ", label=Fraud, estimator=5)", "estimator is 5"),
    (IN_MODEL, "view=None", "view is None"),
    (IN_MODEL, 'view=[CardSpend], bootstrap="many"', "bootstrap is 'many'"),
    ("model=Model(view=[CardSpend, Transaction.amount, amount_ratio], label=Fraud)", "model=None", "model is None"),
    ("label=Fraud)", "label=Fraud), gates=5", "gates is 5"),
    ("label=Fraud)", "label=Fraud), gates=[5]", "a gate is 5"),
    ("label=Fraud)", 'label=Fraud), rollout="direct"', "rollout is 'direct'"),
    ("label=Fraud)", "label=Fraud), drift=Drift(window=5)", "drift's window is 5"),
    ("label=Fraud)", "label=Fraud), source=FileSource(events=[5])", "an event of the file is 5"),
    ("Label(Transaction", "Label(5", "the label's event is 5"),
    ("seen_in=Chargeback", "seen_in=5", "the label's seen_in is 5"),
    ("on=Transaction", "on=5", "TypeError: CardSpend is on 5"),
    ("refers_to(Transaction)", "refers_to(5)", "Chargeback.txn_id refers to no event"),
    ("field(ge=0)", 'field(ge="0")', "Transaction.amount has a limit that is no number"),
    ('pii="hash"', 'pii="plain"', "Transaction.merchant: pii='plain'"),
    ('over("1h")', "over(5)", "big's window is 5"),
    ("n=3", 'n="3"', "last3: last of n=3"),
    # file sources
    ("label=Fraud)", "label=Fraud), source=FileSource(events=[])", "a file source without events"),
    (
        "label=Fraud)",
        "label=Fraud), source=FileSource(events=[Chargeback.from_file(txn_id=row_number)])",
        "Chargeback.from_file lacks `ts`",
    ),
    (
        "label=Fraud)",
        "label=Fraud), source=FileSource(events=[Chargeback.from_file(id=1, txn_id='x', ts=row_number)])",
        "Chargeback.from_file: `id` is no field",
    ),
    (
        "label=Fraud)",
        "label=Fraud), source=FileSource(events=[Chargeback.from_file(txn_id='x', ts=datetime(2024, 1, 1))])",
        "the time 2024-01-01 00:00:00 has no zone",
    ),
]


@pytest.mark.parametrize(("old", "new", "what"), CASES)
def test_what_cannot_work_is_refused_with_its_line(tmp_path: Path, old: str, new: str, what: str) -> None:
    """A mistake is told with the line of the declaration it stands in, and with a mend."""
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    with pytest.raises(PipelineMistakes) as caught:
        load([written(tmp_path, text)])
    told = next((one for one in caught.value.mistakes if what in one.what), None)
    assert told is not None, str(caught.value)
    assert told.mend
    assert told.file == str(tmp_path / "fraud.py")
    assert 1 <= told.line <= text.count("\n")


def test_a_feature_may_bear_any_free_name(tmp_path: Path) -> None:
    """The longer name of another feature's window is no clash: `n_1h` over 1h is `n_1h_1h`."""
    text = WHOLE.replace("    big", "    n_1h = agg.sum(Transaction.items).over('1h')\n    big", 1)
    names = [feature.name for feature in load([written(tmp_path, text)]).groups["CardSpend"].features]
    assert names.count("n_1h") == names.count("n_1h_1h") == 1


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One load tells every mistake, sorted by line, in a text for people."""
    text = (
        WHOLE.replace("field(ge=0)", "field(ge=5, le=1)")
        .replace('lateness="10m"', 'lateness="soon"')
        .replace("default=False", 'default="no"')
        .replace("label=Fraud)", "label=Fraud, bootstrap=0), rollout=Bandit()")
    )
    with pytest.raises(PipelineMistakes) as caught:
        load([written(tmp_path, text)])
    lines = [mistake.line for mistake in caught.value.mistakes]
    assert len(lines) >= 4
    assert lines == sorted(lines)
    first, *rest = str(caught.value).splitlines()
    assert first == f"{len(lines)} mistakes in the pipeline"
    assert len(rest) == 2 * len(lines)


def test_a_mistake_of_a_shared_class_is_told_once(tmp_path: Path) -> None:
    """What two places use and one declares wrongly is one mistake."""
    with pytest.raises(PipelineMistakes) as caught:
        load([written(tmp_path, WHOLE.replace("field(ge=0)", "field(ge=5, le=1)"))])
    assert len(caught.value.mistakes) == 1


def test_events_do_not_inherit(tmp_path: Path) -> None:
    """A contract stands in one place: a subclass of an event class is refused."""
    text = WHOLE.replace(EVENTS, EVENTS + "class Payment(Transaction):\n    pass\n").replace(
        "Label(Transaction", "Label(Payment"
    )
    with pytest.raises(PipelineMistakes, match="Payment inherits fields"):
        load([written(tmp_path, text)])


def test_a_view_holds_one_event(tmp_path: Path) -> None:
    """Groups on another event than the label's are refused, directly and within a derived value."""
    other = 'class Late(FeatureGroup, on=Chargeback, by="txn_id"):\n    n = agg.count().over("1h")\n'
    for item in ("Late", 'derive(Late.n["1h"] + 1, name="more")'):
        text = WHOLE.replace("PIPELINE =", other + "PIPELINE =").replace("amount_ratio]", f"{item}]")
        with pytest.raises(PipelineMistakes, match="the view mixes events: Late is on Chargeback"):
            load([written(tmp_path, text)])
