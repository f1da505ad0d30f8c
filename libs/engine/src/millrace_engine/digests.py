"""BLAKE2b-128 of many short texts (RFC 7693), sixteen at a time: each word of the algorithm is a row of sixteen lanes.

hashlib takes three calls and three objects for a text. Here the loops over the lanes become vector instructions.
"""

import numpy as np
from numpy.typing import NDArray

from millrace_engine.jit import bare, leaf
from millrace_engine.layout import Int64s
from millrace_engine.texts import Bytes, Woven, put_woven

Words = NDArray[np.uint64]
_LANES = 16
_BLOCK_BYTES = 128
_WORDS = 16
"""Of a block, of the working vector, and of what a round takes of a block."""
_ROUNDS = 12
_CHOSEN, _BLOCK = _WORDS * _LANES, 2 * _WORDS * _LANES
"""Where in the scratch lie, behind the working vector, the words that a round takes, and the block."""
_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)  # fmt: skip
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    dtype=np.int64,
)  # fmt: skip
_PARAMETERS = np.uint64(0x01010010)
"""A digest of 16 bytes, no key, no tree."""
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Said of the block that ends a text."""


def blake2b_128(texts: Woven) -> Bytes:
    """Return the digest of each text, [n, 16]."""
    digests = np.empty((len(texts.sizes), 2), np.uint64)
    blocks = np.maximum(1, -(-texts.sizes // _BLOCK_BYTES))
    scratch, state = np.empty(3 * _WORDS * _LANES, np.uint64), np.empty(len(_IV) * _LANES, np.uint64)
    for count in np.unique(blocks).tolist():
        padded = np.empty((_LANES, count * _BLOCK_BYTES), np.uint8)
        _digest(texts, np.flatnonzero(blocks == count), padded, padded.view(np.uint64), (scratch, state), digests)
    return digests.view(np.uint8)


@bare
def _digest(
    texts: Woven, places: Int64s, padded: Bytes, words: Words, room: tuple[Words, Words], digests: Words
) -> None:
    """Digest the texts of these places, each of which takes the blocks that a row of `padded` has."""
    scratch, state = room
    blocks = words.shape[1] // _WORDS
    for first in range(0, len(places), _LANES):
        chosen = places[first : first + _LANES]
        _fill(texts, chosen, padded)
        for i in range(len(state)):
            state[i] = _IV[i // _LANES] ^ (_PARAMETERS if i < _LANES else np.uint64(0))
        for block in range(blocks):
            is_last = block == blocks - 1
            _begin(words, block, state, scratch)
            for lane in range(len(chosen)):
                scratch[12 * _LANES + lane] ^= np.uint64(
                    texts.sizes[chosen[lane]] if is_last else _BLOCK_BYTES * (block + 1)
                )
                scratch[14 * _LANES + lane] ^= _LAST if is_last else np.uint64(0)
            _compress(scratch, state)
        for lane in range(len(chosen)):
            digests[chosen[lane], 0], digests[chosen[lane], 1] = state[lane], state[_LANES + lane]


@leaf
def _fill(texts: Woven, chosen: Int64s, padded: Bytes) -> None:
    """Lay the texts of these places out, a row for each, and zeros behind them."""
    for lane in range(len(chosen)):
        end = put_woven(padded[lane], 0, texts, chosen[lane])
        padded[lane, end:] = 0


@leaf
def _begin(words: Words, block: int, state: Words, v: Words) -> None:
    """Take a block of each lane, and the working vector that the state gives."""
    for i in range(_WORDS):
        for lane in range(_LANES):
            v[_BLOCK + i * _LANES + lane] = words[lane, block * _WORDS + i]
    for i in range(len(_IV)):
        for lane in range(_LANES):
            v[i * _LANES + lane] = state[i * _LANES + lane]
            v[(len(_IV) + i) * _LANES + lane] = _IV[i]


@leaf
def _compress(v: Words, state: Words) -> None:
    for r in range(_ROUNDS):
        for i in range(_WORDS):
            word = _BLOCK + _SIGMA[r, i] * _LANES
            for lane in range(_LANES):
                v[_CHOSEN + i * _LANES + lane] = v[word + lane]
        _mix(v, (0, 4, 8, 12), 0)
        _mix(v, (1, 5, 9, 13), 2)
        _mix(v, (2, 6, 10, 14), 4)
        _mix(v, (3, 7, 11, 15), 6)
        _mix(v, (0, 5, 10, 15), 8)
        _mix(v, (1, 6, 11, 12), 10)
        _mix(v, (2, 7, 8, 13), 12)
        _mix(v, (3, 4, 9, 14), 14)
    for i in range(len(_IV) * _LANES):
        state[i] ^= v[i] ^ v[len(_IV) * _LANES + i]


@leaf
def _mix(v: Words, places: tuple[int, int, int, int], first: int) -> None:
    """Do what RFC 7693 calls G, in each lane, with two words of what the round takes."""
    a, b, c, d = places
    for lane in range(_LANES):
        va, vb, vc, vd = v[a * _LANES + lane], v[b * _LANES + lane], v[c * _LANES + lane], v[d * _LANES + lane]
        va = va + vb + v[_CHOSEN + first * _LANES + lane]
        vd = _rotated(vd ^ va, 32)
        vc = vc + vd
        vb = _rotated(vb ^ vc, 24)
        va = va + vb + v[_CHOSEN + (first + 1) * _LANES + lane]
        vd = _rotated(vd ^ va, 16)
        vc = vc + vd
        vb = _rotated(vb ^ vc, 63)
        v[a * _LANES + lane], v[b * _LANES + lane], v[c * _LANES + lane], v[d * _LANES + lane] = va, vb, vc, vd


@leaf
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    right = np.uint64(bits)
    return (word >> right) | (word << (np.uint64(64) - right))
