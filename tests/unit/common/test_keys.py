"""Names of entities in Redis: any text is one, and no two share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.keys import REDIS_ID_BYTES_MAX, murmur2, partition_of, redis_id, redis_ids
from millrace_common.slots import Slot, tag, value_key

LONG = "k" * 10_000


@pytest.mark.parametrize(
    "entity", ["", "4929", "Bäckerei Süß", "東京", "a:b:c", "{card.1}", '["de",7]', "k" * 512, "ü" * 256]
)
def test_an_id_of_up_to_512_bytes_stands_as_it_is(entity: str) -> None:
    """People find an entity by its own name."""
    assert redis_id(entity) == entity


@pytest.mark.parametrize("entity", [LONG, "k" * 513, "ü" * 257, "東" * 3_400])
def test_a_long_id_is_named_by_its_hash(entity: str) -> None:
    """The bound counts bytes, not characters: 10 kB of any script take 33 bytes."""
    assert len(redis_id(entity)) == 33
    assert redis_id(entity).startswith("#")
    assert redis_id(entity) != redis_id(entity + "x")


def test_no_id_can_take_the_name_of_a_long_one() -> None:
    """Whoever chooses an id that looks like a hash gets another hash."""
    assert redis_id(redis_id(LONG)) != redis_id(LONG)


@given(st.lists(st.text(max_size=600), min_size=2, max_size=2, unique=True))
def test_two_ids_never_share_a_key(ids: list[str]) -> None:
    """Neither among values nor among horizons, whatever stands in them."""
    slot = Slot("raw-data", "card", 1, "0badcafe")
    keys = {slot.value_key(one, "Spend@01234567") for one in ids} | {slot.horizon_key(one) for one in ids}
    assert len(keys) == 4
    assert all(key.startswith(slot.tag) for key in keys)
    assert max(map(len, (key.encode() for key in keys))) < REDIS_ID_BYTES_MAX + 64


@given(st.lists(st.text(max_size=10) | st.sampled_from(["#1", "k" * 129, "ü" * 300, LONG])))
def test_ids_are_named_together_as_they_are_alone(ids: list[str]) -> None:
    """Whether all of them stand as they are, or one does not."""
    assert list(redis_ids(ids)) == list(map(redis_id, ids))


@given(st.text(max_size=200), st.integers(1, 64))
def test_a_remembered_partition_is_the_computed_one(entity: str, partitions: int) -> None:
    """Remembering hashes of short keys changes nothing, for text and for bytes."""
    computed = (murmur2(entity.encode()) & 0x7FFFFFFF) % partitions
    assert [partition_of(key, partitions) for key in (entity, entity.encode(), entity)] == [computed] * 3


def test_what_a_key_begins_with_is_what_a_cluster_hashes() -> None:
    """A brace inside an id changes nothing: the first pair counts."""
    assert value_key(tag("card", 3), "}{x}", "G@1") == "fs:{card.3}:v:}{x}:G@1"
