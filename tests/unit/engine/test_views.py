"""Views: the bytes a model is given."""

import math
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from millrace.spec import ColumnSpec, Const, FeatureRef, FieldRef, Op, Scalar, ViewSpec
from millrace_engine.views import compile_view

AMOUNT = FieldRef("transaction", "amount", "float")
MEAN = FeatureRef("CardSpend", "mean_24h")
SHOP = FieldRef("transaction", "shop", "str")
KEY = "CardSpend@12345678"
VIEW = ViewSpec(
    name="fraud",
    event="transaction",
    columns=(
        ColumnSpec("CardSpend.mean_24h", "float", MEAN, group="CardSpend"),
        ColumnSpec("CardSpend.n_1h", "int", FeatureRef("CardSpend", "n_1h"), group="CardSpend"),
        ColumnSpec("amount", "float", AMOUNT),
        ColumnSpec("online", "bool", FieldRef("transaction", "online", "bool")),
        ColumnSpec("ratio", "float", Op("div", (AMOUNT, Op("fill", (MEAN, Const(1.0)))))),
        ColumnSpec("large", "bool", Op("gt", (AMOUNT, Const(500)))),
        ColumnSpec(
            "shop_code", "int", Op("category", (Op("fill", (SHOP, Const("none"))), Const("acme"), Const("none")))
        ),
        ColumnSpec("shop_acme", "bool", Op("eq", (SHOP, Const("acme")))),
        ColumnSpec("level", "int", Op("bucketise", (MEAN, Const(1), Const(10.0)))),
    ),
    groups={"CardSpend": KEY},
    hash="",
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.tuples(
    st.none() | st.fixed_dictionaries({"mean_24h": NUMBERS, "n_1h": st.none() | st.integers(0, 2**40)}),
    st.fixed_dictionaries(
        {"amount": NUMBERS, "online": st.none() | st.booleans(), "shop": st.none() | st.sampled_from(["acme", "ajax"])}
    ),
)
Row = tuple[dict[str, Scalar] | None, dict[str, Scalar]]


def slow(row: Row) -> list[float]:
    """Return the view of a row, written out by hand in 64-bit floats."""
    group, fields = row[0] or {}, row[1]
    amount, mean = fields["amount"], group.get("mean_24h")
    divisor = 1.0 if mean is None else float(mean)
    ratio = None if amount is None or divisor == 0 else float(amount) / divisor
    large = None if amount is None else float(amount) > 500
    cells = [mean, group.get("n_1h"), amount, fields["online"], ratio if math.isfinite(ratio or 0) else None, large]
    shop, level = fields["shop"], None if mean is None else float(mean)
    cells += [2 if shop is None else int(shop == "acme"), None if shop is None else shop == "acme"]
    cells += [None if level is None else (level >= 1) + (level >= 10)]
    return [math.nan if cell is None else float(cell) for cell in cells]


def single(value: float) -> float:
    """Return the 32-bit float nearest to `value`, NaN where it is beyond the greatest."""
    (greatest,) = struct.unpack("<f", b"\xff\xff\x7f\x7f")
    return float(struct.unpack("<f", struct.pack("<f", value))[0]) if abs(value) <= greatest else math.nan


@given(st.lists(ROWS, max_size=5))
def test_a_matrix_is_its_vectors_and_a_vector_its_expressions(rows: list[Row]) -> None:
    """`matrix` gives the bytes of the stacked vectors, and each is what a slow evaluation by hand gives."""
    view = compile_view(VIEW)
    inputs = [({} if group is None else {KEY: group}, fields) for group, fields in rows]
    vectors = [view.vector(groups, fields) for groups, fields in inputs]
    matrix = view.matrix(inputs)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows), len(VIEW.columns))
    assert matrix.tobytes() == b"".join(vector.tobytes() for vector in vectors)
    for vector, row in zip(vectors, rows, strict=True):
        expected = [cell if math.isnan(cell) else single(cell) for cell in slow(row)]
        np.testing.assert_array_equal(vector, np.array(expected, dtype=np.float32))


def test_missing_is_nan_and_a_bool_is_a_number() -> None:
    """Missing is NaN, true is 1, and a view reads only the group whose content hash it pins."""
    vector = compile_view(VIEW).vector({"CardSpend@00000000": {"mean_24h": 4.0}}, {"amount": 600, "online": True})
    np.testing.assert_array_equal(
        vector, np.array([math.nan, math.nan, 600, 1, 600, 1, 2, math.nan, math.nan], dtype=np.float32)
    )
