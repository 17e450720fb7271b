"""SETBIT, GETBIT, BITCOUNT, BITPOS and BITOP: strings as rows of bits.

A string written here is one edited in place, as Redis sees it, so its encoding is "raw".
"""

from __future__ import annotations

from typing import Final

from redraft.base.limits import VALUE_BYTES_MAX
from redraft.commands import arguments, bits
from redraft.commands.arguments import parse_integer
from redraft.commands.context import Context
from redraft.commands.reply import ONE, SYNTAX, ZERO, CommandError, integer
from redraft.commands.strings import find_view
from redraft.engine.record import BODY_AT, EDITED, EXPIRING, edited_body, with_body_of

BAD_OFFSET: Final = b"ERR bit offset is not an integer or out of range"
_BAD_BIT: Final = b"ERR bit is not an integer or out of range"
NOTHING: Final = memoryview(b"")
"""The value of a key that does not exist."""

_CRLF_BYTES: Final = 2


def bit_offset(text: bytes) -> int:
    """Return a bit's position in a string; raises CommandError for those that no string has."""
    offset = parse_integer(text)
    if offset is None or not 0 <= offset >> 3 < VALUE_BYTES_MAX:
        raise CommandError(BAD_OFFSET)
    return offset


def is_edited(record: bytes) -> bool:
    """Whether a string was edited in place before."""
    return record[BODY_AT if record[0] == EXPIRING else 0] == EDITED


def patched(record: bytes, value: memoryview, at: int, patch: bytes | bytearray) -> bytes:
    """Return the record with `patch` at an offset of its value; zeros fill what is between."""
    end = at + len(patch)
    if end <= len(value) and is_edited(record):  # copied once, which is what a large string costs
        whole, start = memoryview(record), len(record) - _CRLF_BYTES - len(value)
        return b"".join((whole[: start + at], patch, whole[start + end :]))
    gap = bytes(max(at - len(value), 0))
    return with_body_of(record, edited_body(value[:at], gap, patch, value[end:]))


def setbit(ctx: Context, args: list[bytes]) -> bytes:
    """SETBIT key offset value."""
    offset = bit_offset(args[2])
    if args[3] not in {b"0", b"1"}:
        raise CommandError(_BAD_BIT)
    found = find_view(ctx, args[1])
    record, value = found if found is not None else (b"$", NOTHING)
    at, mask = offset >> 3, 0x80 >> (offset & 7)
    old = value[at] if at < len(value) else 0
    new = old | mask if args[3] == b"1" else old & ~mask
    if new != old or at >= len(value) or not is_edited(record):
        ctx.keyspace.put(ctx.slot_of(args[1]), args[1], patched(record, value, at, bytes((new,))))
    return ONE if old & mask else ZERO


def getbit(ctx: Context, args: list[bytes]) -> bytes:
    """GETBIT key offset."""
    offset = bit_offset(args[2])
    found = find_view(ctx, args[1])
    if found is None or offset >> 3 >= len(found[1]):
        return ZERO
    return ONE if found[1][offset >> 3] & 0x80 >> (offset & 7) else ZERO


def _scale(unit: bytes) -> int:
    """Return how many bits BYTE or BIT is; raises CommandError for other words."""
    scale = {b"byte": 8, b"bit": 1}.get(unit.lower())
    if scale is None:
        raise CommandError(SYNTAX)
    return scale


def _range(start: int, end: int, scale: int, size: int) -> tuple[int, int]:
    """Return the first and the last bit of a range of a string of `size` bytes; empty if they are crossed."""
    total = size * 8 // scale
    start = max(start + total, 0) if start < 0 else start
    end = max(end + total, 0) if end < 0 else end
    return start * scale, min(end, total - 1) * scale + scale - 1


def bitcount(ctx: Context, args: list[bytes]) -> bytes:
    """BITCOUNT key [start end [BYTE|BIT]]."""
    found = find_view(ctx, args[1])
    if found is None:
        return ZERO
    value = found[1]
    if len(args) == 2:
        return integer(bits.count_ones(value))
    if len(args) not in {4, 5}:
        raise CommandError(SYNTAX)
    start, end = arguments.integer(args[2]), arguments.integer(args[3])
    if end < start < 0:  # empty wherever it lies, and before it is cut to what the string has
        return ZERO
    scale = _scale(args[4]) if len(args) == 5 else 8
    return integer(bits.count_ones_between(value, *_range(start, end, scale, len(value))))


def bitpos(ctx: Context, args: list[bytes]) -> bytes:
    """BITPOS key bit [start [end [BYTE|BIT]]]."""
    bit = arguments.integer(args[2])
    if bit not in {0, 1}:
        raise CommandError(b"ERR The bit argument must be 1 or 0.")
    found = find_view(ctx, args[1])
    if found is None:
        return integer(-bit)
    value = found[1]
    if len(args) > 6:
        raise CommandError(SYNTAX)
    start = arguments.integer(args[3]) if len(args) > 3 else 0
    scale = _scale(args[5]) if len(args) > 5 else 8
    end = arguments.integer(args[4]) if len(args) > 4 else -1
    first, last = _range(start, end, scale, len(value))
    position = bits.find_bit(value, bit, first, last)
    if position < 0 and bit == 0 and first <= last and len(args) < 5:
        position = len(value) * 8  # without an end, zeros follow the string
    return integer(position)


def bitop(ctx: Context, args: list[bytes]) -> bytes:
    """BITOP AND|OR|XOR|NOT destkey key [key ...]."""
    operation = args[1].lower()
    combination = bits.COMBINATIONS.get(operation)
    if combination is None and operation != b"not":
        raise CommandError(SYNTAX)
    if combination is None and len(args) != 4:
        raise CommandError(b"ERR BITOP NOT must be called with a single source key.")
    found = [find_view(ctx, key) for key in args[3:]]
    values = [each[1] if each is not None else NOTHING for each in found]
    result = bits.combine(combination, values) if combination is not None else bits.invert(values[0])
    size = max(map(len, values))
    slot = ctx.slot_of(args[2])
    if size:
        ctx.keyspace.put(slot, args[2], edited_body(*result))
    else:
        ctx.keyspace.remove(slot, args[2])
    return integer(size)
