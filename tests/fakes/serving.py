"""What the tests of serving stand on: a deployment by hand, real ONNX files, and stores that can go away."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

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
from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import Clock
from millrace_common.codec import encode
from millrace_common.errors import Unavailable
from millrace_common.host import Host
from millrace_common.ids import row_id, sha256
from millrace_common.messages import Arm, FeatureRow, Person, Position, Promotion, Reason
from millrace_common.profiles import (
    ColumnProfile,
    Histogram,
    Profile,
    ReferenceAccuracy,
)
from millrace_common.profiles import encode as encode_profile
from millrace_common.records import Outgoing

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
    "Transaction",
    ("card",),
    (FeatureSpec("n_24h", "count", None, DAY_US), FeatureSpec("mean_24h", "mean", AMOUNT, DAY_US)),
    "c" * 32,
)
MERCHANT = GroupSpec(
    "MerchantSpend",
    "Transaction",
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
    view = ViewSpec("fraud", "Transaction", COLUMNS, {"CardSpend": CARD.key, "MerchantSpend": MERCHANT.key}, VIEW_HASH)
    label = LabelSpec("fraud", "Transaction", "Chargeback", Const(True), False, 45 * DAY_US)
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
        {"Transaction": TRANSACTION, "Chargeback": CHARGEBACK},
        {"CardSpend": CARD, "MerchantSpend": MERCHANT},
        {"fraud": label},
        {MODEL: pipeline},
        "e" * 32,
    )


# --- artifacts -------------------------------------------------------------------------------------------------------
def model_bytes(bias: float, *, width: int = len(COLUMNS), name: str = "features") -> bytes:
    """Return an ONNX model: sigmoid(sum of the inputs that are present / 1000 + bias)."""
    weights = np.full((width, 1), 0.001, np.float32)
    nodes = [
        helper.make_node("IsNaN", [name], ["absent"]),
        helper.make_node("Where", ["absent", "zero", name], ["present"]),
        helper.make_node("Gemm", ["present", "weights", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {
        "zero": np.zeros(1, np.float32),
        "one": np.ones(1, np.float32),
        "weights": weights,
        "bias": np.full(1, bias, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


def score_of(bias: float, row: Sequence[float | None]) -> float:
    """Return what `model_bytes` scores a row, slowly."""
    total = bias + sum(value * 0.001 for value in row if value is not None)
    return float(1 / (1 + np.exp(-total)))


def profile(*, threshold: float = 0.5) -> Profile:
    """Return a profile with the view's columns."""
    columns = tuple(ColumnProfile(name=column.name, edges=(0.0, 1.0), counts=(0, 1, 0, 0), scale=1.0) for column in COLUMNS)
    return Profile(
        view_hash=VIEW_HASH,
        columns=columns,
        score=Histogram(edges=(0.0, 1.0), counts=(0, 1, 0, 0)),
        score_scale=1.0,
        reference_windows={},
        window_rows=100,
        accuracy=ReferenceAccuracy(value=0.9, low=0.8, high=1.0, n=100),
        threshold=threshold,
    )


GOLDEN_ROWS: tuple[tuple[float | None, ...], ...] = ((10.0, 0.0, 3.0, None, 2.0), (0.0, 1.0, 0.0, 7.0, 0.0))


def artifact(bias: float) -> dict[str, bytes]:
    """Return the files of a version that scores with this bias."""
    golden = {"rows": GOLDEN_ROWS, "scores": [score_of(bias, row) for row in GOLDEN_ROWS]}
    return {
        "model.onnx": model_bytes(bias),
        "profile.json": encode_profile(profile()),
        "golden.json": json.dumps(golden).encode(),
    }


# --- the promotions log ----------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Gatekeeper:
    """Writes a valid chain of promotions of one model; `versions` maps a version to its artifact's (uri, digest)."""

    bus: MemoryBus
    store: ArtifactStore
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    epoch: int = 0
    prev: str | None = None

    async def train(self, version: str, files: Mapping[str, bytes]) -> str:
        """Store a version's files and return its digest."""
        stored = await self.store.put(files)
        self.versions[version] = stored.uri, stored.digest
        return stored.digest

    def promotion(self, version: str | None, *, view_hash: str = VIEW_HASH) -> Outgoing:
        """Return the next record: this version answers alone; None: nothing does."""
        self.epoch += 1
        arms: tuple[Arm, ...] = ()
        if version is not None:
            uri, digest = self.versions[version]
            arms = (
                Arm(
                    name="champion",
                    role="answer",
                    version=version,
                    digest=digest,
                    artifact_uri=uri,
                    view_hash=view_hash,
                    weight_bp=10_000,
                ),
            )
        message = Promotion(
            model=MODEL,
            epoch=self.epoch,
            prev=self.prev,
            rollout_id=f"rollout-{self.epoch}",
            version=version or "0",
            from_state="gating",
            to_state="champion",
            mode="direct",
            arms=arms,
            salt="",
            reason=Reason(code="test", text="a test"),
            policy_hash="p",
            actor=Person(name="gatekeeper", role="service"),
            at_us=self.epoch,
        )
        outgoing = encode(message)
        self.prev = sha256(outgoing.value or b"")
        return outgoing

    async def promote(self, version: str | None, *, view_hash: str = VIEW_HASH) -> None:
        """Append the next record."""
        await self.bus.publish([self.promotion(version, view_hash=view_hash)])


# --- rows ------------------------------------------------------------------------------------------------------------
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


# --- stores that can go away -----------------------------------------------------------------------------------------
@dataclass(slots=True)
class Online:
    """The online store: values by (entity type, entity id, group key); `away` raises, `hangs` never answers."""

    values: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    away: bool = False
    reads: list[int] = field(default_factory=list)

    async def read(self, wanted: Sequence[tuple[str, str, str]]) -> list[bytes | None]:
        """Return the values."""
        if self.away:
            raise Unavailable("redis: no connection")
        self.reads.append(len(wanted))
        return [self.values.get(one) for one in wanted]


@dataclass(slots=True)
class Artifacts:
    """An artifact store that can be away."""

    store: ArtifactStore
    away: bool = False

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the files."""
        if self.away:
            raise Unavailable("the bucket does not answer")
        return await self.store.get(uri, digest)


@dataclass(slots=True)
class MemorySpool:
    """A spool that keeps records in memory."""

    kept: list[Outgoing] = field(default_factory=list)
    full: bool = False

    @property
    def records(self) -> int:
        """Return how many records it holds."""
        return len(self.kept)

    async def keep(self, *records: Outgoing) -> None:
        """Keep the records."""
        if self.full:
            raise Unavailable("the spool is full")
        self.kept += records


def host(bus: MemoryBus, clock: Clock, *, missing: str = "default", score: str = "both") -> Host:
    """Return what serving stands on."""
    return Host(deployment(missing=missing, score=score), bus, clock, "0", "0.1.0")


def predictions_of(records: Sequence[Outgoing]) -> list[dict[str, object]]:
    """Return the values of prediction records as plain JSON."""
    return [msgspec.json.decode(record.value or b"") for record in records]
