"""BITFIELD and BITFIELD_RO: numbers of any width at any bit of a string.

A request is read whole before anything is written.  One that writes makes the string long enough for
all its writes first, whether or not OVERFLOW FAIL then keeps one of them from happening.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from redraft.base.limits import VALUE_BYTES_MAX
from redraft.commands import arguments
from redraft.commands.arguments import parse_integer
from redraft.commands.bitmaps import BAD_OFFSET, NOTHING, bit_offset, is_edited, patched
from redraft.commands.bits import read_field, write_field
from redraft.commands.context import Context
from redraft.commands.reply import NIL, SYNTAX, CommandError, array, integer
from redraft.commands.strings import find_view

_BAD_TYPE: Final = (
    b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
)
_BAD_OVERFLOW: Final = b"ERR Invalid OVERFLOW type specified"
_READ_ONLY: Final = b"ERR BITFIELD_RO only supports the GET subcommand"
_WORDS: Final = {b"get": 3, b"set": 4, b"incrby": 4, b"overflow": 2}
_WIDTH_MAX: Final = {b"i": 64, b"u": 63}


class Field(NamedTuple):
    """A kind of number: signed or not, and how many bits it has."""

    signed: bool
    width: int

    def decode(self, raw: int) -> int:
        """Return the number that the field's bits stand for."""
        return raw - (1 << self.width) if self.signed and raw >> (self.width - 1) else raw

    def encode(self, number: int) -> int:
        """Return the bits of a number; of one that does not fit, the lowest."""
        return number & ((1 << self.width) - 1)

    def clamp(self, number: int) -> int:
        """Return the number of this kind that is nearest to `number`."""
        low = -(1 << (self.width - 1)) if self.signed else 0
        return min(max(number, low), low + (1 << self.width) - 1)


class _Operation(NamedTuple):
    """GET, SET or INCRBY with what belongs to it."""

    name: bytes
    field: Field
    offset: int
    number: int = 0
    overflow: bytes = b"wrap"

    @property
    def end(self) -> int:
        """Return the number of bytes a string has that holds the field."""
        return (self.offset + self.field.width + 7) >> 3

    def outcome(self, old: int) -> int | None:
        """Return what the field holds after a write, None if overflow keeps it from happening."""
        if self.name == b"incrby":
            wanted = old + self.number
        else:  # an unsigned field is set to what the number is in 64 unsigned bits
            wanted = self.number if self.field.signed else self.number % (1 << 64)
        if self.overflow == b"wrap":
            return self.field.decode(self.field.encode(wanted))
        nearest = self.field.clamp(wanted)
        return nearest if nearest == wanted or self.overflow == b"sat" else None


def _field(text: bytes) -> Field:
    width = parse_integer(text[1:])
    if width is None or not 1 <= width <= _WIDTH_MAX.get(text[:1], 0):
        raise CommandError(_BAD_TYPE)
    return Field(text[:1] == b"i", width)


def _field_offset(text: bytes, width: int) -> int:
    """Read an offset in bits, or behind `#` in fields of this width."""
    if text[:1] != b"#":
        return bit_offset(text)
    index = parse_integer(text[1:])
    if index is None:
        raise CommandError(BAD_OFFSET)
    return bit_offset(b"%d" % (index * width))


def _operations(words: list[bytes]) -> list[_Operation]:
    """Read what a request asks for; raises CommandError."""
    operations = []
    overflow = b"wrap"
    at = 0
    while at < len(words):
        name = words[at].lower()
        size = _WORDS.get(name, 0)
        if not size or at + size > len(words):
            raise CommandError(SYNTAX)
        if name == b"overflow":
            overflow = words[at + 1].lower()
            if overflow not in {b"wrap", b"sat", b"fail"}:
                raise CommandError(_BAD_OVERFLOW)
        else:
            operations.append(_operation(name, words[at + 1 : at + size], overflow))
        at += size
    return operations


def _operation(name: bytes, words: list[bytes], overflow: bytes) -> _Operation:
    field = _field(words[0])
    offset = _field_offset(words[1], field.width)
    if name == b"get":
        return _Operation(name, field, offset)
    operation = _Operation(name, field, offset, arguments.integer(words[2]), overflow)
    if operation.end > VALUE_BYTES_MAX:
        raise CommandError(BAD_OFFSET)
    return operation


def _read(data: memoryview | bytearray, operation: _Operation, base: int = 0) -> int:
    """Return what a field holds in a string of which `data` begins at the byte `base`."""
    field = operation.field
    return field.decode(read_field(data, operation.offset - base * 8, field.width))


def _carry_out(data: bytearray, operation: _Operation, base: int) -> int | None:
    """Do one operation; return what it replies."""
    old = _read(data, operation, base)
    if operation.name == b"get":
        return old
    new = operation.outcome(old)
    if new is None:
        return None
    field = operation.field
    write_field(data, operation.offset - base * 8, field.width, field.encode(new))
    return old if operation.name == b"set" else new


def bitfield(ctx: Context, args: list[bytes]) -> bytes:
    """BITFIELD key [GET type offset | [OVERFLOW how] SET|INCRBY type offset number ...]."""
    operations = _operations(args[2:])
    size = max((operation.end for operation in operations if operation.name != b"get"), default=0)
    if not size:
        return _get_all(ctx, args[1], operations)
    found = find_view(ctx, args[1])
    record, value = found if found is not None else (b"$", NOTHING)
    base = min(operation.offset >> 3 for operation in operations)
    window = bytearray(value[base : max(operation.end for operation in operations)])
    window.extend(bytes(max(size - max(len(value), base), 0)))
    outcomes = [_carry_out(window, operation, base) for operation in operations]
    if size > len(value) or not is_edited(record) or window != bytes(value[base : base + len(window)]):
        ctx.keyspace.put(ctx.slot_of(args[1]), args[1], patched(record, value, base, window))
    nil = NIL[ctx.proto]
    return array([integer(outcome) if outcome is not None else nil for outcome in outcomes])


def bitfield_ro(ctx: Context, args: list[bytes]) -> bytes:
    """BITFIELD_RO key [GET type offset ...]."""
    operations = _operations(args[2:])
    if any(operation.name != b"get" for operation in operations):
        raise CommandError(_READ_ONLY)
    return _get_all(ctx, args[1], operations)


def _get_all(ctx: Context, key: bytes, operations: list[_Operation]) -> bytes:
    found = find_view(ctx, key)
    value = found[1] if found is not None else NOTHING
    return array([integer(_read(value, operation)) for operation in operations])
