"""A deployment written by hand: payments by card, their merchants, chargebacks, and visits of the same cards."""

from millrace.spec import Const, Deployment, EventSpec, FeatureSpec, FieldRef, FieldSpec, GroupSpec, LabelSpec, Op

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
AMOUNT = FieldRef("payment", "amount", "float")
BIG = Op("gt", (AMOUNT, Const(5.0)))

PAYMENT = EventSpec(
    type="payment",
    class_name="Payment",
    version=1,
    fields=(
        FieldSpec("payment_id", "str", "id"),
        FieldSpec("card", "str", "entity"),
        FieldSpec("merchant", "str", optional=True),
        FieldSpec("amount", "float", optional=True),
        FieldSpec("ts", "datetime", "time"),
    ),
    id_field="payment_id",
    entity_fields=("card",),
    time_field="ts",
    lateness_us=10 * SECOND,
    dedupe_us=15 * SECOND,
)
VISIT = EventSpec(
    type="visit",
    class_name="Visit",
    version=1,
    fields=(FieldSpec("card", "str", "entity"), FieldSpec("ts", "datetime", "time")),
    id_field=None,
    entity_fields=("card",),
    time_field="ts",
    lateness_us=10 * SECOND,
)
CHARGEBACK = EventSpec(
    type="chargeback",
    class_name="Chargeback",
    version=1,
    fields=(FieldSpec("payment_id", "str", "refers"), FieldSpec("ts", "datetime", "time")),
    id_field=None,
    entity_fields=(),
    time_field="ts",
    refers_field="payment_id",
    refers_to="payment",
)


def over(*windows_us: int) -> tuple[FeatureSpec, ...]:
    """Return every aggregate over these windows."""
    features = []
    for window_us in windows_us:
        name = f"{window_us // SECOND}s"
        features += [
            FeatureSpec(f"n_{name}", "count", None, window_us),
            FeatureSpec(f"n_paid_{name}", "count", AMOUNT, window_us),
            FeatureSpec(f"n_big_{name}", "count", None, window_us, where=BIG),
            FeatureSpec(f"n_now_{name}", "count", None, window_us, include_current=True),
            FeatureSpec(f"sum_{name}", "sum", AMOUNT, window_us),
            FeatureSpec(f"sum_big_now_{name}", "sum", AMOUNT, window_us, where=BIG, include_current=True),
            FeatureSpec(f"mean_{name}", "mean", AMOUNT, window_us),
            FeatureSpec(f"min_{name}", "min", AMOUNT, window_us),
            FeatureSpec(f"max_{name}", "max", AMOUNT, window_us),
            FeatureSpec(f"second_{name}", "last", AMOUNT, window_us, n=2),
        ]
    return tuple(features)


CARD_SPEND = GroupSpec(
    "CardSpend",
    "payment",
    ("card",),
    (
        *over(7 * SECOND, 30 * SECOND),
        FeatureSpec("last", "last", AMOUNT, None),
        FeatureSpec("third_big", "last", AMOUNT, None, n=3, where=BIG),
    ),
    "c0ffee00" * 4,
)
SHOP_TAKINGS = GroupSpec("ShopTakings", "payment", ("merchant",), over(30 * SECOND), "5409c0de" * 4)
FRAUD = LabelSpec("fraud", "payment", "chargeback", Const(True), False, 10 * MINUTE)


def deployment(*groups: GroupSpec, label: LabelSpec | None = FRAUD, only_payments: bool = False) -> Deployment:
    """Return a deployment of these groups; without pipelines, which features does not look at."""
    events = (PAYMENT,) if only_payments else (PAYMENT, VISIT, CHARGEBACK)
    return Deployment(
        events={event.type: event for event in events},
        groups={group.name: group for group in groups},
        labels={label.name: label} if label and not only_payments else {},
        pipelines={},
        hash="0" * 32,
    )
