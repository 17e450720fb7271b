"""The sparse form of a HyperLogLog's registers: runs of equal ones.

    sparse = run*                         of 16384 registers altogether
    run    = 0b00 length:6                zeros: as many as the length says, and one
           | 0b01 length:14               the same, big endian
           | 0b1 value:5 length:2         registers of a value (that and one): as many as the length, and one

There are several ways to write the same registers.  Which one comes about follows from the order in
which they were raised and from the steps of `raise_register`, which are Redis's: the bytes are the
same as there.
"""

from __future__ import annotations

from operator import length_hint
from typing import Final, NamedTuple

from redraft.commands.sketch_registers import REGISTERS

VALUE_MAX: Final = 32
"""The largest value that the form can hold."""

EMPTY: Final = b"\x7f\xff"
"""All registers are zero."""

_VALUE: Final = 0x80
_LONG: Final = 0x40
_ZEROS_MAX: Final = 64
_VALUES_MAX: Final = 4
_MERGE_STEPS: Final = 5

_CUT_OFF: Final = REGISTERS
"""Stands for a second byte that is missing: no run is that long."""

_SPANS: Final = (*range(1, 65), *[0] * 64, *(1, 2, 3, 4) * 32)
"""How many registers a run has, by its first byte; 0 for runs of two bytes."""

_VALUES: Final = (*[0] * 128, *(value for value in range(1, 33) for _ in range(4)))
"""The value of a run's registers, by its first byte."""

_EXPANDED: Final = tuple(bytes((value,)) * span for value, span in zip(_VALUES, _SPANS, strict=True))
"""The registers of a run of one byte."""


class CorruptError(Exception):
    """The bytes stand for more or fewer than all registers."""


class Place(NamedTuple):
    """A run to begin a search at: its offset, and its first register."""

    at: int
    first: int


START: Final = Place(0, 0)


class _Run(NamedTuple):
    """A run that was searched for; `previous` is the place of the one before, None if that was not met."""

    at: int
    first: int
    span: int
    previous: Place | None


def expand(runs: bytes) -> bytes:
    """Return the registers, a byte each; raises CorruptError."""
    walk = iter(runs)
    parts = []
    left = REGISTERS
    for byte in walk:
        span = _SPANS[byte] or ((byte & 0x3F) << 8 | next(walk, _CUT_OFF)) + 1
        left -= span
        if left < 0:
            break
        parts.append(_EXPANDED[byte] or bytes(span))
    if left:
        raise CorruptError
    return b"".join(parts)


def _find(runs: bytearray, index: int, start: Place) -> _Run:
    """Return the run that holds a register, which must not be before `start`; raises CorruptError."""
    first = start.first
    walk = iter(runs[start.at :])
    previous = None
    for byte in walk:
        span = _SPANS[byte] or ((byte & 0x3F) << 8 | next(walk, _CUT_OFF)) + 1
        if first + span > REGISTERS:
            break
        if first + span > index:
            at = len(runs) - length_hint(walk) - (1 if _SPANS[byte] else 2)
            if previous is None:
                return _Run(at, first, span, None)
            before = at - (1 if _SPANS[previous] else 2)
            return _Run(at, first, span, Place(before, first - _span_at(runs, before)))
        first += span
        previous = byte
    raise CorruptError


def _span_at(runs: bytearray, at: int) -> int:
    return _SPANS[runs[at]] or ((runs[at] & 0x3F) << 8 | runs[at + 1]) + 1


def _written(value: int, span: int) -> bytes:
    """Return a run; nothing if it has no registers."""
    if not span:
        return b""
    if value:
        return bytes((_VALUE | value - 1 << 2 | span - 1,))
    return bytes((span - 1,)) if span <= _ZEROS_MAX else (_LONG << 8 | span - 1).to_bytes(2, "big")


def raise_register(
    runs: bytearray, index: int, value: int, room: int, start: Place = START
) -> tuple[bool, Place] | None:
    """Make a register at least `value`; None, and nothing done, if that can't be in `room` bytes.

    Returns whether a register changed, and where a search for a later register may start.
    """
    if value > VALUE_MAX:
        return None
    run = _find(runs, index, start)
    if run.previous is None and start is not START:  # what stands before has to be known
        run = _find(runs, index, START)
    restart = run.previous or START
    old = _VALUES[runs[run.at]]
    if old >= value:
        return False, restart
    left, right = index - run.first, run.first + run.span - 1 - index
    pieces = _written(old, left) + _written(value, 1) + _written(old, right)
    size = 1 if _SPANS[runs[run.at]] else 2
    if len(pieces) > size and len(runs) + len(pieces) - size > room:
        return None
    runs[run.at : run.at + size] = pieces
    _merge(runs, restart.at)
    return True, restart


def _merge(runs: bytearray, at: int) -> None:
    """Join neighbours of the same value, a few steps from `at` on."""
    for _ in range(_MERGE_STEPS):
        if at + 1 >= len(runs):
            break
        here, there = runs[at], runs[at + 1]
        if here < _VALUE:
            at += 1 if _SPANS[here] else 2
        elif here >> 2 == there >> 2 and _SPANS[here] + _SPANS[there] <= _VALUES_MAX:
            runs[at : at + 2] = _written(_VALUES[here], _SPANS[here] + _SPANS[there])
        else:
            at += 1
