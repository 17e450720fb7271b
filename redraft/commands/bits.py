"""Bits of a string: counting, finding and combining them, and numbers that are some of them.

Bit 0 is the most significant bit of the first byte.  What is past a string's end counts as zeros
where a function says so.  Large strings are worked on in chunks, each as one big integer, never bit
by bit or byte by byte.  Nothing here knows commands, keys or replies.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

CHUNK_BYTES: Final = 64 * 1024
"""What is made into one integer: small enough for a processor's cache."""

Combine = Callable[[int, int], int]
"""Combines two chunks, bit by bit."""

COMBINATIONS: Final[dict[bytes, Combine]] = {
    b"and": operator.and_,
    b"or": operator.or_,
    b"xor": operator.xor,
}
"""What BITOP can do to several strings."""

_INVERTED: Final = bytes(range(255, -1, -1))
_BLANK: Final = {0: bytes(CHUNK_BYTES), 1: b"\xff" * CHUNK_BYTES}


def count_ones(data: memoryview) -> int:
    """Return the number of set bits."""
    return sum(
        int.from_bytes(data[at : at + CHUNK_BYTES], "little").bit_count()
        for at in range(0, len(data), CHUNK_BYTES)
    )


def count_ones_between(data: memoryview, first: int, last: int) -> int:
    """Return the number of set bits among those from `first` to `last`, both of them in the string."""
    if first > last:
        return 0
    head, tail = first >> 3, last >> 3
    before = data[head] >> (8 - (first & 7))
    behind = data[tail] & (0x7F >> (last & 7))
    return count_ones(data[head : tail + 1]) - before.bit_count() - behind.bit_count()


def find_bit(data: memoryview, bit: int, first: int, last: int) -> int:
    """Return the position of the first `bit` among those from `first` to `last`, -1 when there is none."""
    if first > last:
        return -1
    flip = 0 if bit else 0xFF
    head, tail = first >> 3, last >> 3
    hits = (data[head] ^ flip) & (0xFF >> (first & 7))
    keep = 0xFF << (7 - (last & 7))
    at = head
    if head < tail and not hits:
        at = _first_byte_but(data, flip, head + 1, tail)
        hits = data[at] ^ flip
    if at == tail:
        hits &= keep
    return at * 8 + 8 - hits.bit_length() if hits else -1


def _first_byte_but(data: memoryview, blank: int, start: int, last: int) -> int:
    """Return where the first byte from `start` on is that is not `blank`; `last` if none before it is."""
    blanks = _BLANK[blank & 1]
    for at in range(start, last, CHUNK_BYTES):
        chunk = bytes(data[at : min(at + CHUNK_BYTES, last)])  # bytes compare faster than views
        if chunk != (blanks if len(chunk) == CHUNK_BYTES else blanks[: len(chunk)]):
            return at + len(chunk) - len(chunk.lstrip(blanks[:1]))
    return last


def combine(combination: Combine, strings: Sequence[memoryview]) -> Iterator[bytes]:
    """Yield the strings' combination, as long as the longest: the others count as filled up with zeros."""
    size = max(map(len, strings))
    for start, end in pairwise((*range(0, size, CHUNK_BYTES), size)):
        # Little endian: a chunk that ends early is filled up at its end, with zeros, by itself.
        result = int.from_bytes(strings[0][start:end], "little")
        for string in strings[1:]:
            result = combination(result, int.from_bytes(string[start:end], "little"))
        yield result.to_bytes(end - start, "little")


def invert(string: memoryview) -> Iterator[bytes]:
    """Yield the string with all its bits turned over."""
    for at in range(0, len(string), CHUNK_BYTES):
        yield bytes(string[at : at + CHUNK_BYTES]).translate(_INVERTED)


def read_field(data: memoryview | bytearray, offset: int, width: int) -> int:
    """Return the unsigned number that `width` bits from `offset` on are; past the end they are zeros."""
    start, end = offset >> 3, (offset + width + 7) >> 3
    number = int.from_bytes(bytes(data[start:end]).ljust(end - start, b"\0"), "big")
    return number >> (-(offset + width) & 7) & ((1 << width) - 1)


def write_field(data: bytearray, offset: int, width: int, number: int) -> None:
    """Make `width` bits from `offset` on an unsigned number; the string has to be long enough."""
    start, end = offset >> 3, (offset + width + 7) >> 3
    assert end <= len(data)
    shift = -(offset + width) & 7
    mask = ((1 << width) - 1) << shift
    rest = int.from_bytes(data[start:end], "big") & ~mask
    data[start:end] = (rest | number << shift).to_bytes(end - start, "big")
