"""LZF as Redis's strings are compressed with it: reading only.

    data    = (literal | copy)*
    literal = 1 byte below 0x20: one less than the number of bytes that follow as they are
    copy    = 3 bits length, 5 bits distance; a further byte of length when it is 7; a byte of distance

A copy is two bytes longer than its length says, and goes back by the distance and one.
"""

from __future__ import annotations

from typing import Final

_LITERAL_END: Final = 0x20
_LONG: Final = 7


def decompress(data: bytes, size: int) -> bytes | None:
    """Return the `size` bytes that `data` stands for, None when it doesn't."""
    out = bytearray()
    at = 0
    end = len(data)
    while at < end and len(out) <= size:
        control = data[at]
        at += 1
        if control < _LITERAL_END:
            out += data[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == _LONG and at < end:
            length += data[at]
            at += 1
        if at >= end:
            return None
        start = len(out) - ((control & 0x1F) << 8 | data[at]) - 1
        at += 1
        if start < 0:
            return None
        length += 2
        run = bytes(out[start : start + length])
        out += (run * (length // len(run) + 1))[:length]  # a copy may reach into itself
    return bytes(out) if at == end and len(out) == size else None
