"""Bits of strings that are longer than one chunk, against the plain way to do the same."""

from __future__ import annotations

import random

import pytest

from redraft.commands import bits

SIZES = [0, 1, bits.CHUNK_BYTES - 1, bits.CHUNK_BYTES, bits.CHUNK_BYTES + 1, 3 * bits.CHUNK_BYTES + 5]


def plain_bits(data: bytes) -> str:
    """The bits of a string, as text."""
    return "".join(f"{byte:08b}" for byte in data)


@pytest.mark.parametrize("size", SIZES)
def test_count_ones_counts_across_chunks(size: int) -> None:
    """However many chunks, the sum is that over all bytes; ends within bytes and chunks are minded."""
    data = random.Random(size).randbytes(size)
    text = plain_bits(data)
    assert bits.count_ones(memoryview(data)) == text.count("1")
    for first, last in ((0, size * 8 - 1), (3, size * 8 - 4), (size * 4 - 1, size * 4 + 9), (9, 8)):
        if first >= 0 and last < size * 8:
            assert bits.count_ones_between(memoryview(data), first, last) == text[first : last + 1].count("1")


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize("size", SIZES[3:])
def test_find_bit_finds_the_only_one(size: int, bit: int) -> None:
    """Wherever the one bit is that differs from all others, it is found, and only within the range."""
    chance = random.Random(size + bit)
    last = size * 8 - 1
    edge = bits.CHUNK_BYTES * 8
    for position in (0, 7, 8, edge - 1, edge, edge + 8, last - 8, last, chance.randrange(last)):
        if position > last:
            continue
        data = bytearray(size) if bit else bytearray(b"\xff" * size)
        data[position >> 3] ^= 0x80 >> (position & 7)
        view = memoryview(bytes(data))
        assert bits.find_bit(view, bit, 0, last) == position
        assert bits.find_bit(view, bit, position, position) == position
        assert bits.find_bit(view, bit, position + 1, last) == -1
        assert position == 0 or bits.find_bit(view, bit, 0, position - 1) == -1


@pytest.mark.parametrize("name", list(bits.COMBINATIONS))
def test_combine_fills_up_with_zeros(name: bytes) -> None:
    """Strings of all lengths are combined byte by byte, as if they were equally long."""
    chance = random.Random(name)
    strings = [chance.randbytes(size) for size in SIZES]
    longest = max(map(len, strings))
    padded = [string.ljust(longest, b"\0") for string in strings]
    expected = bytearray(padded[0])
    for string in padded[1:]:
        for at, byte in enumerate(string):
            expected[at] = bits.COMBINATIONS[name](expected[at], byte)
    views = [memoryview(string) for string in strings]
    assert b"".join(bits.combine(bits.COMBINATIONS[name], views)) == expected


def test_fields_are_read_and_written_at_any_bit() -> None:
    """A field holds what was written, and no bit beside it changes."""
    chance = random.Random(7)
    data = bytearray(chance.randbytes(40))
    for _ in range(3000):
        width, number = chance.randint(1, 64), chance.getrandbits(64)
        offset = chance.randint(0, 320 - width)
        before = plain_bits(data)
        number &= (1 << width) - 1
        bits.write_field(data, offset, width, number)
        assert plain_bits(data) == before[:offset] + f"{number:0{width}b}" + before[offset + width :]
        assert bits.read_field(data, offset, width) == number


def test_a_field_past_the_end_is_zeros() -> None:
    """What a string does not have reads as zeros."""
    assert bits.read_field(memoryview(b"\xff"), 4, 8) == 0xF0
    assert bits.read_field(memoryview(b"\xff"), 800, 63) == 0
    assert bits.read_field(memoryview(b""), 3, 5) == 0
