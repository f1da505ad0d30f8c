"""A deployment by hand: one model on a card's and a merchant's past."""

from millrace.spec import (
    ColumnSpec,
    Const,
    Deployment,
    DriftSpec,
    EstimatorSpec,
    EventSpec,
    FeatureRef,
    FeatureSpec,
    FieldRef,
    FieldSpec,
    GroupSpec,
    LabelSpec,
    ModelSpec,
    Op,
    PipelineSpec,
    RetrainSpec,
    RolloutSpec,
    TrainingSpec,
    ViewSpec,
)
from millrace_common.ids import row_id
from millrace_common.messages import FeatureRow, Position

DAY_US = 86_400_000_000
MODEL = "fraud"
AMOUNT = FieldRef("transaction", "amount", "float")
TRANSACTION = EventSpec(
    type="transaction",
    class_name="Transaction",
    version=1,
    fields=(
        FieldSpec("txn_id", "str", "id"),
        FieldSpec("card", "str", "entity"),
        FieldSpec("merchant", "str"),
        FieldSpec("amount", "float", ge=0.0),
        FieldSpec("tip", "float", optional=True),
        FieldSpec("ts", "datetime", "time"),
    ),
    id_field="txn_id",
    entity_fields=("card",),
    time_field="ts",
)
CHARGEBACK = EventSpec(
    type="chargeback",
    class_name="Chargeback",
    version=1,
    fields=(FieldSpec("txn_id", "str", "refers"), FieldSpec("ts", "datetime", "time")),
    id_field=None,
    entity_fields=(),
    time_field="ts",
    refers_field="txn_id",
    refers_to="transaction",
)
CARD = GroupSpec(
    "CardSpend",
    "transaction",
    ("card",),
    (FeatureSpec("n_24h", "count", None, DAY_US), FeatureSpec("mean_24h", "mean", AMOUNT, DAY_US)),
    "c" * 32,
)
MERCHANT = GroupSpec(
    "MerchantSpend",
    "transaction",
    ("merchant",),
    (FeatureSpec("n_24h", "count", None, DAY_US),),
    "d" * 32,
)
COLUMNS = (
    ColumnSpec("amount", "float", AMOUNT),
    ColumnSpec("tip", "float", Op("fill", (FieldRef("transaction", "tip", "float"), Const(0.0)))),
    ColumnSpec("card_n_24h", "int", FeatureRef("CardSpend", "n_24h"), "CardSpend"),
    ColumnSpec("card_mean_24h", "float", FeatureRef("CardSpend", "mean_24h"), "CardSpend"),
    ColumnSpec("merchant_n_24h", "int", FeatureRef("MerchantSpend", "n_24h"), "MerchantSpend"),
)
VIEW_HASH = "v" * 32


def deployment(*, missing: str = "default", score: str = "both") -> Deployment:
    """Return a deployment with one model on a card's and a merchant's past."""
    view = ViewSpec("fraud", "transaction", COLUMNS, {"CardSpend": CARD.key, "MerchantSpend": MERCHANT.key}, VIEW_HASH)
    label = LabelSpec("fraud", "transaction", "chargeback", Const(True), False, 45 * DAY_US)
    model = ModelSpec(
        MODEL,
        view,
        label,
        EstimatorSpec("logistic"),
        "binary",
        score,  # type: ignore[arg-type]  # one of three literals, named by the test
        TrainingSpec(),
        missing,  # type: ignore[arg-type]  # as above
    )
    pipeline = PipelineSpec(MODEL, model, (), RolloutSpec(), DriftSpec(DAY_US), RetrainSpec())
    return Deployment(
        {"transaction": TRANSACTION, "chargeback": CHARGEBACK},
        {"CardSpend": CARD, "MerchantSpend": MERCHANT},
        {"fraud": label},
        {MODEL: pipeline},
        "e" * 32,
    )


def row(number: int, *, card: str = "4929", amount: float = 12.5, with_card: bool = True) -> FeatureRow:
    """Return a spine row with its card's group."""
    event_id = f"txn-{number}"
    return FeatureRow(
        row_id=row_id("card", "transaction", event_id, [CARD.key]),
        event_type="transaction",
        event_id=event_id,
        entity_type="card",
        entity_id=card,
        spine=True,
        event_time_us=1_700_000_000_000_000 + number,
        append_time_us=1_700_000_000_000_000 + number,
        source=Position(topic="raw-data", partition=0, offset=number),
        groups={CARD.key: {"n_24h": 3, "mean_24h": 20.0}} if with_card else {},
        fields={"txn_id": event_id, "card": card, "merchant": "shop", "amount": amount, "tip": None, "ts": number},
    )
