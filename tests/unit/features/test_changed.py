"""Values as columns against the same values one by one, as Redis reads them."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_common.online.resp import bulks
from millrace_common.online.scripts import write_call
from millrace_engine.texts import joined
from millrace_features.core.changed import Changed

AROUND = [b"fs:{card.0}:i:", b"", b"fs:{card.0}:v:", b":Spend@01234567", b"fs:{card.0}:v:", ":Größe@01234567".encode()]
NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.lists(st.one_of(st.just(b""), st.binary(min_size=1, max_size=1_200)), min_size=3, max_size=3)


def columns_of(held: dict[str, list[bytes]]) -> Changed:
    """Return values of entities as columns, three of each."""
    names = joined([name.encode() for name in held])
    values = joined([value for row in held.values() for value in row])
    return Changed(joined(AROUND).by(2), names, values.by(3))


def one_by_one(held: dict[str, list[bytes]]) -> dict[str, bytes]:
    """Return values by key; nothing is stored where there is none."""
    pairs = [(AROUND[i].decode(), AROUND[i + 1].decode()) for i in (0, 2, 4)]
    return {
        before + name + after: value
        for name, row in held.items()
        for (before, after), value in zip(pairs, row, strict=True)
        if value
    }


@given(st.dictionaries(NAMES, VALUES, max_size=40))
def test_values_as_columns_are_the_values(held: dict[str, list[bytes]]) -> None:
    """The keys and values of a mapping, in order; and the words that Redis gets are those of the values one by one."""
    changed, plain = columns_of(held), one_by_one(held)
    assert list(changed.items()) == list(plain.items())
    keys, values = changed.words()
    assert bytes(keys) == b"".join(bulks(map(str.encode, plain)))
    assert bytes(values) == b"".join(bulks(plain.values()))


@given(st.dictionaries(NAMES, VALUES, max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_a_part_of_the_rows_is_a_part_of_the_values(held: dict[str, list[bytes]], first: int, end: int) -> None:
    """Calls of some entities each hold what one call would."""
    whole, rows = columns_of(held), slice(first, end)
    part = Changed(whole.around, whole.names.part(rows), whole.records.part(rows))
    assert dict(part) == one_by_one(dict(list(held.items())[first:end]))


@given(st.dictionaries(NAMES, VALUES, max_size=20))
def test_a_guarded_write_is_the_same_bytes(held: dict[str, list[bytes]]) -> None:
    """Whoever holds the values as a dictionary sends the same call."""
    calls = [
        write_call(b"cursor", values, (b"left", b"next"), b"600") for values in (columns_of(held), one_by_one(held))
    ]
    assert calls[0] == calls[1]
