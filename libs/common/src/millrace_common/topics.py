"""Every topic: its name, its one writer, its partitions and how long it keeps messages.

Code speaks of logical names; a bus adds the deployment's prefix.
"""

from dataclasses import dataclass
from typing import Literal

from millrace.spec import Deployment, GroupSpec

DAY_MS = 86_400_000
KEEP = -1
EVENT_BYTES_MAX = 256 << 10
"""How large an event may be: what is made of it (its row repeats its ids) must fit on the other topics."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic's standing facts. `partitions` "data" means as many as the deployment was created with."""

    name: str
    writer: str
    partitions: Literal["data", "one"] = "data"
    retention_ms: int = 90 * DAY_MS
    message_bytes_max: int = 1 << 20


RAW_DATA = Topic("raw-data", "ingest", retention_ms=100 * DAY_MS)
FEATURES = Topic("features", "features")
MODEL_CANDIDATES = Topic("model-candidates", "trainer", "one", KEEP)
PROMOTIONS = Topic("promotions", "gatekeeper", "one", KEEP)
PREDICTIONS = Topic("predictions", "serving")
DRIFT_ALERTS = Topic("drift-alerts", "monitor", "one", 400 * DAY_MS)
LATE = Topic("raw-data.late", "features", retention_ms=RAW_DATA.retention_ms)
PARKED = Topic("raw-data.parked", "features", retention_ms=RAW_DATA.retention_ms)
AUDIT_COUNTS = Topic("audit-counts", "monitor", "one")

MAIN = (RAW_DATA, FEATURES, MODEL_CANDIDATES, PROMOTIONS, PREDICTIONS, DRIFT_ALERTS)


def dead_letters(topic: str) -> Topic:
    """Return the topic of the messages of `topic` that were refused."""
    return Topic(f"{topic}.dlq", "the reader", "one", message_bytes_max=2 << 20)


def by_entity(entity: str) -> Topic:
    """Return the features service's own repartitioning of raw-data by another entity."""
    return Topic(f"{RAW_DATA.name}.by-{entity}", "features", retention_ms=RAW_DATA.retention_ms)


def feeding(group: GroupSpec, deployment: Deployment) -> str:
    """Return the topic that a group is computed from: its event's own, or the copies by its entity."""
    own = deployment.events[group.event].entity_fields
    return RAW_DATA.name if group.by == own else by_entity(group.entity_type).name


def of_deployment(repartitioned: tuple[str, ...]) -> tuple[Topic, ...]:
    """Return every topic of a deployment that groups by the entities `repartitioned` beside its events' own."""
    data = (RAW_DATA, *(by_entity(entity) for entity in sorted(repartitioned)))
    dead = tuple(dead_letters(topic.name) for topic in (*MAIN, *data[1:]))
    return (*MAIN, *data[1:], LATE, PARKED, AUDIT_COUNTS, *dead)
