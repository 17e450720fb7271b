"""DUMP and RESTORE: values in the form Redis 7.0 serialises them.

    payload  = type value version crc
    type     = 1 byte: 0 for a string
    value    = length bytes | integer | compressed
    length   = 0b00 and 6 bits | 0b01 and 14 bits | 0x80 and 4 bytes | 0x81 and 8 bytes, big endian
    integer  = 0xC0, 0xC1 or 0xC2 and 1, 2 or 4 bytes, little endian, signed
    compressed = 0xC3 length(of what follows) length(of the string) LZF data
    version  = 2 bytes, little endian; what is newer than ours is refused
    crc      = 8 bytes, little endian: CRC-64/Jones of all before it

DUMP writes strings uncompressed; RESTORE reads both forms.
"""

from __future__ import annotations

import struct
from typing import Final

from redraft.accel.crc64 import crc64
from redraft.base.limits import VALUE_BYTES_MAX
from redraft.commands import arguments
from redraft.commands.arguments import INT32_MAX, INT32_MIN, INT64_MAX, parse_integer
from redraft.commands.context import Context
from redraft.commands.reply import NIL, OK, SYNTAX, CommandError, bulk, invalid_expire_time
from redraft.engine.record import body_of, expiring, payload, string_body

VERSION: Final = 10
"""Redis 7.0's version of the format."""

_STRING: Final = 0
_INT8, _INT16, _INT32, _LZF = 0xC0, 0xC1, 0xC2, 0xC3
_LENGTH_32, _LENGTH_64 = 0x80, 0x81
_FOOTER_BYTES: Final = 10
_BAD_FORMAT: Final = b"ERR Bad data format"
_INTEGER_TEXT_BYTES_MAX: Final = 11


class _FormatError(Exception):
    """A payload whose checksum holds and whose contents do not."""


def _length(size: int) -> bytes:
    if size < 1 << 6:
        return bytes((size,))
    if size < 1 << 14:
        return struct.pack(">H", 0x4000 | size)
    return struct.pack(">BI", _LENGTH_32, size) if size < 1 << 32 else struct.pack(">BQ", _LENGTH_64, size)


def dump_string(value: bytes) -> bytes:
    """Return the serialised form of a string."""
    number = parse_integer(value) if len(value) <= _INTEGER_TEXT_BYTES_MAX else None
    if number is not None and INT32_MIN <= number <= INT32_MAX:
        if -(1 << 7) <= number < 1 << 7:
            encoded = struct.pack("<Bb", _INT8, number)
        elif -(1 << 15) <= number < 1 << 15:
            encoded = struct.pack("<Bh", _INT16, number)
        else:
            encoded = struct.pack("<Bi", _INT32, number)
    else:
        encoded = _length(len(value)) + value
    versioned = bytes((_STRING,)) + encoded + struct.pack("<H", VERSION)
    return versioned + struct.pack("<Q", crc64(versioned))


def _take_length(data: bytes, at: int) -> tuple[int, int]:
    """Return a length and the offset behind it."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    if first == _LENGTH_32:
        return struct.unpack_from(">I", data, at + 1)[0], at + 5
    if first == _LENGTH_64:
        return struct.unpack_from(">Q", data, at + 1)[0], at + 9
    raise _FormatError


def _decompress(data: bytes, size: int) -> bytes:
    """Undo LZF: runs of literals, and copies of up to 264 bytes from up to 8 KiB back."""
    out = bytearray()
    at = 0
    while at < len(data) and len(out) <= size:
        control = data[at]
        at += 1
        if control < 0x20:
            out += data[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[at]
            at += 1
        start = len(out) - ((control & 0x1F) << 8 | data[at]) - 1
        at += 1
        if start < 0:
            raise _FormatError
        length += 2
        run = bytes(out[start : start + length])
        out += (run * (length // len(run) + 1))[:length]  # a copy may reach into itself
    if at != len(data) or len(out) != size:
        raise _FormatError
    return bytes(out)


def _take_string(data: bytes) -> bytes:
    """Return the string that `data`, the part between type and version, is."""
    first = data[0]
    if first in (_INT8, _INT16, _INT32):
        layout = {_INT8: "<b", _INT16: "<h", _INT32: "<i"}[first]
        end = 1 + struct.calcsize(layout)
        value = b"%d" % int(struct.unpack_from(layout, data, 1)[0])
    elif first == _LZF:
        packed, at = _take_length(data, 1)
        size, at = _take_length(data, at)
        end = at + packed
        if size > VALUE_BYTES_MAX or end > len(data):
            raise _FormatError
        value = _decompress(data[at:end], size)
    else:
        size, at = _take_length(data, 0)
        end = at + size
        value = data[at:end]
    if end > len(data):
        raise _FormatError
    return value


def restore_string(data: bytes) -> bytes:
    """Return the string of a serialised form; raises CommandError when it is none that can be read here."""
    if (
        len(data) < _FOOTER_BYTES
        or struct.unpack_from("<H", data, len(data) - _FOOTER_BYTES)[0] > VERSION
        or struct.unpack_from("<Q", data, len(data) - 8)[0] != crc64(data[:-8])
    ):
        raise CommandError(b"ERR DUMP payload version or checksum are wrong")
    try:
        if data[0] != _STRING:
            raise _FormatError
        return _take_string(data[1:-_FOOTER_BYTES])
    except (_FormatError, IndexError, struct.error):
        raise CommandError(_BAD_FORMAT) from None


def dump(ctx: Context, args: list[bytes]) -> bytes:
    """DUMP key."""
    record = ctx.keyspace.find(ctx.slot_of(args[1]), args[1])
    return bulk(dump_string(payload(body_of(record)))) if record is not None else NIL[ctx.proto]


def restore(ctx: Context, args: list[bytes]) -> bytes:
    """RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]."""
    seen: set[bytes] = set()
    rest = iter(args[4:])
    for word in rest:
        option = word.lower()
        if option in {b"replace", b"absttl"}:
            seen.add(option)
        elif option == b"idletime" and b"freq" not in seen and (argument := next(rest, None)) is not None:
            if arguments.integer(argument) < 0:
                raise CommandError(b"ERR Invalid IDLETIME value, must be >= 0")
            seen.add(option)
        elif option == b"freq" and b"idletime" not in seen and (argument := next(rest, None)) is not None:
            if not 0 <= arguments.integer(argument) <= 255:
                raise CommandError(b"ERR Invalid FREQ value, must be >= 0 and <= 255")
            seen.add(option)
        else:
            raise CommandError(SYNTAX)
    key, slot = args[1], ctx.slot_of(args[1])
    if b"replace" not in seen and ctx.keyspace.find(slot, key) is not None:
        raise CommandError(b"BUSYKEY Target key name already exists.")
    time_ms = arguments.integer(args[2])
    if time_ms < 0:
        raise CommandError(b"ERR Invalid TTL value, must be >= 0")
    body = string_body(restore_string(args[3]))
    if time_ms and b"absttl" not in seen:
        time_ms += ctx.now_ms
        if time_ms > INT64_MAX:
            raise CommandError(invalid_expire_time(b"restore"))
    ctx.keyspace.put(slot, key, expiring(body, time_ms) if time_ms else body)
    return OK
