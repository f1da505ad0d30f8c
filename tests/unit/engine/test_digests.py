"""Digests of many texts at once against hashlib's, one by one."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from millrace_engine.digests import blake2b_128
from millrace_engine.texts import joined, woven

texts = st.lists(st.binary(max_size=300), min_size=1, max_size=50)


@given(st.binary(max_size=140), texts, st.binary(max_size=140))
def test_digests_are_those_of_hashlib(before: bytes, varying: list[bytes], behind: bytes) -> None:
    """Whatever their sizes: of one block, of several, of whole ones, and of nothing."""
    found = blake2b_128(woven(joined([before, behind]), joined(varying)))
    expected = [hashlib.blake2b(before + text + behind, digest_size=16).digest() for text in varying]
    assert [row.tobytes() for row in found] == expected
    assert found.shape == (len(varying), 16)


def test_texts_that_fill_blocks_are_closed_in_their_last_one() -> None:
    """The block that ends a text is told from others by its length: at the edges, one by one."""
    sizes = [0, 1, 127, 128, 129, 255, 256, 257, 10_000]
    found = blake2b_128(woven(joined([b"", b""]), joined([b"x" * size for size in sizes])))
    assert [row.tobytes() for row in found] == [hashlib.blake2b(b"x" * size, digest_size=16).digest() for size in sizes]
