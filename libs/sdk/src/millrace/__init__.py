"""What a team writes: events, features, label, model, pipeline.

Importing this opens nothing and knows nothing of services: declarations are data, checked and compiled at load.
"""

from millrace import agg
from millrace.custom import Cells, CustomAggregate
from millrace.events import Event, Field, entity, event_id, event_time, field, refers_to
from millrace.expressions import Expression, OneHot, derive
from millrace.files import FileSource, column, days, hours, milliseconds, minutes, row_number, seconds
from millrace.groups import FeatureGroup
from millrace.models import Label, LightGBM, Logistic, Model, Pipeline
from millrace.policies import (
    AB,
    DEFAULT_GATES,
    Bandit,
    Canary,
    Direct,
    Drift,
    Floor,
    Integrity,
    Lineage,
    NonInferior,
    Parity,
    Retrain,
    Schema,
    Shadow,
)

__all__ = [
    "AB",
    "DEFAULT_GATES",
    "Bandit",
    "Canary",
    "Cells",
    "CustomAggregate",
    "Direct",
    "Drift",
    "Event",
    "Expression",
    "FeatureGroup",
    "Field",
    "FileSource",
    "Floor",
    "Integrity",
    "Label",
    "LightGBM",
    "Lineage",
    "Logistic",
    "Model",
    "NonInferior",
    "OneHot",
    "Parity",
    "Pipeline",
    "Retrain",
    "Schema",
    "Shadow",
    "agg",
    "column",
    "days",
    "derive",
    "entity",
    "event_id",
    "event_time",
    "field",
    "hours",
    "milliseconds",
    "minutes",
    "refers_to",
    "row_number",
    "seconds",
]
