"""Promotion: one recorded step of a rollout. The fold of these records is the registry."""

from typing import ClassVar, Literal

import msgspec

from millrace_common.ids import h
from millrace_common.messages._base import (
    Blob,
    Message,
    Offsets,
    Person,
    Reason,
    Scalar,
    Signature,
    Value,
)


class Arm(Value, frozen=True, kw_only=True):
    """One version that takes requests after a promotion; weights of answering arms sum to 10,000."""

    name: str
    role: Literal["answer", "shadow"]
    version: str
    digest: str
    artifact_uri: str
    view_hash: str
    weight_bp: int


class Verdict(Value, frozen=True, kw_only=True):
    """What one gate said."""

    gate: str
    verdict: Literal["pass", "fail", "inconclusive", "skipped"]
    value: float | None = None
    limit: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    n_needed: int | None = None
    detectable: float | None = None
    blocking: bool
    why: str | None = None


class Approval(Value, frozen=True, kw_only=True):
    """Somebody's yes to one digest."""

    name: str
    role: str
    digest: str
    at_us: int


class Promotion(Message, frozen=True, kw_only=True, tag="millrace.promotion.v1"):
    """One step. It counts only if `epoch` is the head's + 1 and `prev` the hash of the head's bytes.

    `arms` is the whole picture after this record: serving needs only the head.
    """

    topic: ClassVar[str] = "promotions"
    id_field: ClassVar[str] = "message_id"
    time_field: ClassVar[str] = "at_us"

    model: str
    epoch: int
    prev: str | None = None
    rollout_id: str
    candidate_id: str | None = None
    version: str
    digest: str | None = None
    from_state: str
    to_state: str
    mode: str
    arms: tuple[Arm, ...]
    salt: str
    reason: Reason
    verdicts: tuple[Verdict, ...] = ()
    evidence: Blob | None = None
    inputs: Offsets = {}
    policy_hash: str
    actor: Person
    approvals: tuple[Approval, ...] = ()
    state_data: dict[str, Scalar] = msgspec.field(default_factory=dict)
    at_us: int
    signature: Signature | None = None

    @property
    def key(self) -> str:
        """Return the model's name."""
        return self.model

    @property
    def message_id(self) -> str:
        """Return the CloudEvents id: two records that claim one place differ by what they hang on."""
        return h(self.model, self.epoch, self.prev or "", self.rollout_id, self.to_state)
