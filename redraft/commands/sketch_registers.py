"""The arithmetic of a HyperLogLog: hash, registers, estimate.

There are 16384 registers.  An element belongs to one, by the lowest 14 bits of its hash; the register
keeps the largest rank of its elements, a rank being one more than the number of zeros the other 50
bits end in.  Registers are bytes here, 64 different values at most; `pack` makes six bits of each.
The estimate is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017).

Floating-point arithmetic is IEEE 754's basic operations and square roots only, in Redis's order: all
machines agree on the result.  Nothing here knows how registers are stored.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import Final

INDEX_BITS: Final = 14
REGISTERS: Final = 1 << INDEX_BITS
RANK_BITS: Final = 64 - INDEX_BITS
PACKED_BYTES: Final = REGISTERS * 6 // 8

_RANKS: Final = 64
_ALPHA: Final = 0.721347520444481703680
_SEED: Final = 0xADC83B19
_FACTOR: Final = 0xC6A4A7935BD1E995
_WORD: Final = (1 << 64) - 1


def murmur_hash_64a(data: bytes, seed: int = _SEED) -> int:
    """Return Appleby's MurmurHash2 of 64 bits, as it is on little-endian machines."""
    hashed = seed ^ (len(data) * _FACTOR & _WORD)
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        block = int.from_bytes(data[at : at + 8], "little") * _FACTOR & _WORD
        hashed = (hashed ^ ((block ^ block >> 47) * _FACTOR & _WORD)) * _FACTOR & _WORD
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _WORD
    hashed = (hashed ^ hashed >> 47) * _FACTOR & _WORD
    return hashed ^ hashed >> 47


def place(element: bytes) -> tuple[int, int]:
    """Return which register an element belongs to, and its rank."""
    hashed = murmur_hash_64a(element)
    rest = hashed >> INDEX_BITS | 1 << RANK_BITS
    return hashed & (REGISTERS - 1), (rest & -rest).bit_length()


def _table(shift: int, mask: int) -> bytes:
    """Return what takes each byte by `shift` bits up (down if negative) and keeps the bits in `mask`."""
    return bytes((byte << shift if shift >= 0 else byte >> -shift) & mask for byte in range(256))


_LOW_6, _HIGH_2, _LOW_4, _HIGH_4, _LOW_2, _HIGH_6 = (
    _table(0, 63), _table(-6, 63), _table(2, 63), _table(-4, 63), _table(4, 63), _table(-2, 63),
)  # fmt: skip
_TO_HIGH_2, _TO_HIGH_4, _TO_HIGH_6 = _table(6, 255), _table(4, 255), _table(2, 255)


def _either(first: bytes, second: bytes) -> bytes:
    union = int.from_bytes(first, "little") | int.from_bytes(second, "little")
    return union.to_bytes(len(first), "little")


def unpack(packed: bytes) -> bytes:
    """Return the registers that stand in `PACKED_BYTES` bytes: four in three, the lowest bits first."""
    first, second, third = packed[0::3], packed[1::3], packed[2::3]
    registers = bytearray(REGISTERS)
    registers[0::4] = first.translate(_LOW_6)
    registers[1::4] = _either(first.translate(_HIGH_2), second.translate(_LOW_4))
    registers[2::4] = _either(second.translate(_HIGH_4), third.translate(_LOW_2))
    registers[3::4] = third.translate(_HIGH_6)
    return bytes(registers)


def pack(registers: bytes) -> bytes:
    """Do the opposite of `unpack`."""
    packed = bytearray(PACKED_BYTES)
    packed[0::3] = _either(registers[0::4], registers[1::4].translate(_TO_HIGH_2))
    packed[1::3] = _either(registers[1::4].translate(_HIGH_6), registers[2::4].translate(_TO_HIGH_4))
    packed[2::3] = _either(registers[2::4].translate(_HIGH_4), registers[3::4].translate(_TO_HIGH_6))
    return bytes(packed)


def maxima(first: bytes, second: bytes) -> bytes:
    """Return the larger of each two registers.

    A register leaves its byte's highest bit free: set in `first`, it is still there after `second` is
    taken away just where `first` is not the smaller.  That bit becomes a mask of the seven others.
    """
    one, other = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    chosen = ((one | _HIGHEST) - other) & _HIGHEST
    mask = chosen - (chosen >> 7)
    return (other ^ ((one ^ other) & mask)).to_bytes(REGISTERS, "little")


_HIGHEST: Final = int.from_bytes(b"\x80" * REGISTERS, "little")


def histogram(registers: bytes) -> list[int]:
    """Return how many registers have each value."""
    counts = [0] * _RANKS
    rest = registers
    for value in range(_RANKS):
        if value in rest:  # quick when it is not; what has been counted need not be looked at again
            fewer = rest.translate(None, bytes((value,)))
            counts[value] = len(rest) - len(fewer)
            rest = fewer
    return counts


def _tau(share: float) -> float:
    if share in {0.0, 1.0}:
        return 0.0
    weight, total, before = 1.0, 1 - share, inf
    while total != before:
        share = sqrt(share)
        before = total
        weight *= 0.5
        total -= (1 - share) * (1 - share) * weight
    return total / 3


def _sigma(share: float) -> float:
    if share == 1.0:
        return inf
    weight, total, before = 1.0, share, inf
    while total != before:
        share *= share
        before = total
        total += share * weight
        weight += weight
    return total


def estimate(counts: list[int]) -> float:
    """Return about how many elements there were, from the histogram of registers; a whole number or inf."""
    total = REGISTERS * _tau((REGISTERS - counts[RANK_BITS + 1]) / REGISTERS)
    for value in range(RANK_BITS, 0, -1):
        total += counts[value]
        total *= 0.5
    total += REGISTERS * _sigma(counts[0] / REGISTERS)
    if total == 0:
        return inf
    elements = _ALPHA * REGISTERS * REGISTERS / total
    whole = elements // 1
    return whole + 1 if elements - whole >= 0.5 else whole
