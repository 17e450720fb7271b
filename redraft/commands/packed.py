"""The compact forms in which Redis keeps small collections: listpacks, ziplists and intsets.

Each is one string that stands for a list of strings.

    listpack = bytes(4) elements(2) element* 0xFF         elements: 65535 when it does not fit
    element  = 0b0 and 7 bits                             a number from 0
             | 0b10 and 6 bits of length, bytes
             | 0b110 and 13 bits, big endian, signed
             | 0b1110 and 12 bits of length, big endian, bytes
             | 0xF0 length(4) bytes
             | 0xF1..0xF4 and 2, 3, 4 or 8 bytes, signed
               each with its own size behind it, 7 bits a byte, the upper ones first, which is for going back

    ziplist  = bytes(4) last(4) elements(2) entry* 0xFF   last: where the last entry begins
    entry    = size of the entry before (1 byte below 0xFE, or 0xFE and 4 bytes), then
               0b00 and 6 bits of length, bytes
             | 0b01 and 14 bits of length, big endian, bytes
             | 0x80 length(4, big endian) bytes
             | 0xC0, 0xD0, 0xE0, 0xF0 or 0xFE and 2, 4, 8, 3 or 1 bytes, signed
             | 0xF1..0xFD                                 a number from 0 to 12

    intset   = width(4) elements(4) numbers               of 2, 4 or 8 bytes, signed, ascending

Numbers are little endian but where it says otherwise.  What does not hold together raises FormatError.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from redraft.commands.arguments import parse_integer
from redraft.commands.payload import FormatError, Reader

_END: Final = 0xFF
_HEADER_BYTES: Final = 6
_UNCOUNTED: Final = 0xFFFF
_LISTPACK_WIDTHS: Final = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
_ZIPLIST_WIDTHS: Final = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}
_FAR: Final = 0xFE
_BACK_STEPS: Final = (127, 16382, 2097150, 268435454)
"""The largest elements whose size takes one, two, three, four bytes."""


def _number(raw: bytes) -> bytes:
    return b"%d" % int.from_bytes(raw, "little", signed=True)


def read_listpack(data: bytes) -> list[bytes]:
    """Return the elements of a listpack."""
    reader = Reader(data)
    size, counted = _little(reader, 4), _little(reader, 2)
    if size != len(data):
        raise FormatError
    found: list[bytes] = []
    at = _HEADER_BYTES
    while (first := reader.byte()) != _END:
        size, value = _listpack_element(reader, first)
        found.append(value)
        back = _backwards(size)
        if reader.take(len(back)) != back:
            raise FormatError
        at += size + len(back)
    if at + 1 != len(data) or counted not in {len(found), _UNCOUNTED}:
        raise FormatError
    return found


def _listpack_element(reader: Reader, first: int) -> tuple[int, bytes]:
    """Return the bytes an element takes, and what it is."""
    if first < 0x80:
        return 1, b"%d" % first
    if first < 0xC0:
        length = first & 0x3F
        return 1 + length, reader.take(length)
    if first < 0xE0:
        number = (first & 0x1F) << 8 | reader.byte()
        return 2, b"%d" % (number - (1 << 13) if number >= 1 << 12 else number)
    if first < 0xF0:
        length = (first & 0x0F) << 8 | reader.byte()
        return 2 + length, reader.take(length)
    if first == 0xF0:
        length = _little(reader, 4)
        return 5 + length, reader.take(length)
    width = _LISTPACK_WIDTHS.get(first)
    if width is None:
        raise FormatError
    return 1 + width, _number(reader.take(width))


def _backwards(size: int) -> bytes:
    """Return what stands behind an element of that size."""
    length = next((steps for steps, most in enumerate(_BACK_STEPS, 1) if size <= most), 5)
    digits = [size >> shift & 0x7F | 0x80 for shift in range(7 * (length - 1), -1, -7)]
    digits[0] &= 0x7F
    return bytes(digits)


def write_listpack(elements: list[bytes]) -> bytes:
    """Return a listpack; elements that are numbers are written as such."""
    parts: list[bytes] = []
    for element in elements:
        written = _written_element(element)
        parts += (written, _backwards(len(written)))
    body = b"".join(parts)
    count = min(len(elements), _UNCOUNTED)
    size = _HEADER_BYTES + len(body) + 1
    return size.to_bytes(4, "little") + count.to_bytes(2, "little") + body + bytes((_END,))


def _written_element(element: bytes) -> bytes:
    number = parse_integer(element)
    if number is not None:
        if 0 <= number < 1 << 7:
            return bytes((number,))
        for kind, width in _LISTPACK_WIDTHS.items():
            if -(1 << (8 * width - 1)) <= number < 1 << (8 * width - 1):
                return bytes((kind,)) + number.to_bytes(width, "little", signed=True)
    length = len(element)
    if length < 1 << 6:
        return bytes((0x80 | length,)) + element
    if length < 1 << 12:
        return bytes((0xE0 | length >> 8, length & 0xFF)) + element
    return b"\xf0" + length.to_bytes(4, "little") + element


def read_ziplist(data: bytes) -> list[bytes]:
    """Return the entries of a ziplist."""
    reader = Reader(data)
    size, last, counted = _little(reader, 4), _little(reader, 4), _little(reader, 2)
    if size != len(data):
        raise FormatError
    found: list[bytes] = []
    at, before, start = 10, 0, 10
    while (first := reader.byte()) != _END:
        far = first == _FAR
        if (_little(reader, 4) if far else first) != before:
            raise FormatError
        size, value = _ziplist_entry(reader)
        found.append(value)
        before = size + (5 if far else 1)
        start = at
        at += before
    if at + 1 != len(data) or last != start or counted not in {len(found), _UNCOUNTED}:
        raise FormatError
    return found


def _ziplist_entry(reader: Reader) -> tuple[int, bytes]:
    """Return the bytes an entry takes without the size of the one before, and what it is."""
    first = reader.byte()
    if first < 0x40:
        return 1 + first, reader.take(first)
    if first < 0x80:
        length = (first & 0x3F) << 8 | reader.byte()
        return 2 + length, reader.take(length)
    if first == 0x80:
        length = int.from_bytes(reader.take(4), "big")
        return 5 + length, reader.take(length)
    if 0xF1 <= first <= 0xFD:
        return 1, b"%d" % (first - 0xF1)
    width = _ZIPLIST_WIDTHS.get(first)
    if width is None:
        raise FormatError
    return 1 + width, _number(reader.take(width))


def read_intset(data: bytes) -> list[bytes]:
    """Return the numbers of an intset."""
    reader = Reader(data)
    width, count = _little(reader, 4), _little(reader, 4)
    if width not in {2, 4, 8} or len(data) != 8 + width * count or not count:
        raise FormatError
    numbers = [
        int.from_bytes(data[at : at + width], "little", signed=True) for at in range(8, len(data), width)
    ]
    if any(low >= high for low, high in pairwise(numbers)):
        raise FormatError
    return [b"%d" % number for number in numbers]


def pairs(elements: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return elements that stand in pairs, of which there has to be one; none may begin with the same."""
    if not elements or len(elements) % 2:
        raise FormatError
    distinct(elements[::2])
    return list(zip(elements[::2], elements[1::2], strict=True))


def distinct(elements: list[bytes]) -> list[bytes]:
    """Return the elements; none may come twice, and there has to be one."""
    if not elements or len(set(elements)) != len(elements):
        raise FormatError
    return elements


def _little(reader: Reader, width: int) -> int:
    return int.from_bytes(reader.take(width), "little")
