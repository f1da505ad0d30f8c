"""The six kinds of message that cross our topics."""

from millrace_common.messages._base import Message, Offsets, Person, Position, Reason, Scalar
from millrace_common.messages.alert import Alert
from millrace_common.messages.candidate import Candidate
from millrace_common.messages.feature_row import FeatureRow
from millrace_common.messages.label import Label
from millrace_common.messages.prediction import Prediction
from millrace_common.messages.promotion import Arm, Promotion

KINDS: tuple[type[Message], ...] = (FeatureRow, Label, Candidate, Promotion, Prediction, Alert)

__all__ = [
    "KINDS",
    "Alert",
    "Arm",
    "Candidate",
    "FeatureRow",
    "Label",
    "Message",
    "Offsets",
    "Person",
    "Position",
    "Prediction",
    "Promotion",
    "Reason",
    "Scalar",
]
