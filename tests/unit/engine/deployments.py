"""A small deployment by hand, for tests of what the engine compiles."""

from millrace.spec import Deployment, EventSpec, FieldSpec

TRANSACTION = EventSpec(
    type="transaction",
    class_name="Transaction",
    version=1,
    fields=(
        FieldSpec("txn_id", "str", role="id"),
        FieldSpec("card", "str", role="entity"),
        FieldSpec("terminal", "int", role="entity", ge=1),
        FieldSpec("merchant", "str", pii="hash", optional=True),
        FieldSpec("amount", "float", ge=0, lt=10_000),
        FieldSpec("items", "int", gt=0, le=50, optional=True),
        FieldSpec("online", "bool", optional=True),
        FieldSpec("ts", "datetime", role="time"),
    ),
    id_field="txn_id",
    entity_fields=("card", "terminal"),
    time_field="ts",
)
CHARGEBACK = EventSpec(
    type="chargeback",
    class_name="Chargeback",
    version=2,
    fields=(FieldSpec("txn_id", "str", role="refers"), FieldSpec("ts", "datetime", role="time")),
    id_field=None,
    entity_fields=(),
    time_field="ts",
    refers_field="txn_id",
    refers_to="transaction",
)


def deployment(*events: EventSpec) -> Deployment:
    """Return a deployment of these event classes and nothing else."""
    return Deployment(events={event.type: event for event in events}, groups={}, labels={}, pipelines={}, hash="")
