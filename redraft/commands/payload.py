"""What Redis's serialised values are made of, and the frame around them.

    payload  = type value version crc
    type     = 1 byte; what the value looks like: the `payload_` module of the type of key has the grammar
    version  = 2 bytes, little endian; what is newer than VERSION_MAX is refused
    crc      = 8 bytes, little endian: CRC-64/Jones of all before it

    string   = length bytes | integer | compressed
    length   = 0b00 and 6 bits | 0b01 and 14 bits | 0x80 and 4 bytes | 0x81 and 8 bytes, big endian
    integer  = 0xC0, 0xC1 or 0xC2 and 1, 2 or 4 bytes, little endian, signed
    compressed = 0xC3 length(of what follows) length(of the string) LZF data

A `Reader` never reads outside its bytes, whatever they say: what makes no sense raises FormatError.  What is
written is never compressed.  Nothing here knows keys or types of values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from redraft.accel.crc64 import crc64
from redraft.base.limits import VALUE_BYTES_MAX
from redraft.commands.arguments import INT32_MAX, INT32_MIN, parse_integer
from redraft.commands.context import Context
from redraft.commands.lzf import decompress

VERSION: Final = 10
"""Redis 7.0's version of the format, which is what is written."""

VERSION_MAX: Final = 11
"""Redis 7.2's."""

RESTORED_BYTES_MAX: Final = VALUE_BYTES_MAX
"""What a payload may grow to when it is unpacked."""

Store = Callable[[Context, bytes], None]
"""Makes a key of a value that was read: (context, key); there must be no such key, or it is replaced."""

_INT8, _INT16, _INT32, _LZF = 0xC0, 0xC1, 0xC2, 0xC3
_LENGTH_32, _LENGTH_64 = 0x80, 0x81
_INTEGERS: Final = {
    _INT8: struct.Struct("<b"),
    _INT16: struct.Struct("<h"),
    _INT32: struct.Struct("<i"),
}
_INTEGER_TEXT_BYTES_MAX: Final = 11
_FOOTER: Final = struct.Struct("<HQ")
_CHECKSUM_BYTES: Final = 8
_WORD: Final = struct.Struct(">I")
_LONG: Final = struct.Struct(">Q")


class FormatError(Exception):
    """A payload whose checksum holds and whose contents do not."""


class Reader:
    """Goes through the value of a payload."""

    __slots__ = ("_at", "_data", "_room")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._room = RESTORED_BYTES_MAX

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes; raises FormatError, as all of this does."""
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise FormatError
        return self._data[start : self._at]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def fields(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Return what `layout` describes."""
        return layout.unpack(self.take(layout.size))

    def length(self) -> int:
        """Return a length, which may be any number of 64 bits."""
        return self._length(self.byte())

    def count(self) -> int:
        """Return how many things follow of which there has to be at least one."""
        number = self.length()
        if not number:
            raise FormatError
        return number

    def string(self) -> bytes:
        """Return a string, in whichever way it is written."""
        first = self.byte()
        if first in _INTEGERS:
            (number,) = self.fields(_INTEGERS[first])
            return b"%d" % int(number)
        if first != _LZF:
            return self.take(self._length(first))
        packed, size = self.length(), self.length()
        self.spend(size)
        value = decompress(self.take(packed), size)
        if value is None:
            raise FormatError
        return value

    def spend(self, size: int) -> None:
        """Note that what was read becomes bigger by so many bytes than it is in the payload."""
        self._room -= size
        if self._room < 0:
            raise FormatError

    def _length(self, first: int) -> int:
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first not in {_LENGTH_32, _LENGTH_64}:
            raise FormatError
        return int(self.fields(_WORD if first == _LENGTH_32 else _LONG)[0])


def written_length(size: int) -> bytes:
    """Return a length as it is written."""
    if size < 1 << 6:
        return bytes((size,))
    if size < 1 << 14:
        return struct.pack(">H", 0x4000 | size)
    return struct.pack(">BI", _LENGTH_32, size) if size < 1 << 32 else struct.pack(">BQ", _LENGTH_64, size)


def written_string(value: bytes) -> bytes:
    """Return a string as it is written: as an integer when it is one that fits."""
    number = parse_integer(value) if len(value) <= _INTEGER_TEXT_BYTES_MAX else None
    if number is None or not INT32_MIN <= number <= INT32_MAX:
        return written_length(len(value)) + value
    if -(1 << 7) <= number < 1 << 7:
        return struct.pack("<Bb", _INT8, number)
    if -(1 << 15) <= number < 1 << 15:
        return struct.pack("<Bh", _INT16, number)
    return struct.pack("<Bi", _INT32, number)


def sealed(contents: bytes, version: int = VERSION) -> bytes:
    """Return the payload of a type and a value."""
    versioned = contents + version.to_bytes(2, "little")
    return versioned + crc64(versioned).to_bytes(_CHECKSUM_BYTES, "little")


def unsealed(payload: bytes) -> bytes | None:
    """Return a payload's type and value, None when its version or checksum is wrong."""
    if len(payload) < _FOOTER.size:
        return None
    version, checksum = _FOOTER.unpack_from(payload, len(payload) - _FOOTER.size)
    if version > VERSION_MAX or checksum != crc64(payload[:-_CHECKSUM_BYTES]):
        return None
    return payload[: -_FOOTER.size]
