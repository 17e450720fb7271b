"""Scores: doubles as sorted sets read them, and as bytes that sort as they do.

    sortable = 8 bytes, big endian: the IEEE 754 bits with the sign flipped, of a negative number all flipped

Numbers are read as C's `strtod` does it in Redis: decimal, hexadecimal, or `inf`.  NaN is no score.  0 and -0
are one place in the order.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from redraft.commands.reply import NOT_FLOAT, CommandError

SCORE_BYTES: Final = 8

_double: Final = struct.Struct(">d")
_bits: Final = struct.Struct(">Q")
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
_PLAIN_DIGITS_MAX: Final = 15
_DECIMAL: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_HEXADECIMAL: Final = re.compile(
    rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?\Z"
)
_INFINITE: Final = re.compile(rb"([+-]?)inf(?:inity)?\Z", re.IGNORECASE)
_SPACE: Final = b" \t\n\v\f\r"

pack = _double.pack
"""A double's own bytes, which tell -0 from 0."""


def unpack(packed: bytes) -> float:
    """Return the double that `pack` was given."""
    number: float = _double.unpack(packed)[0]
    return number


def rank_bits(score: float) -> int:
    """Return the number that `sortable` writes: it grows with the score, one more is above this score."""
    bits: int = _bits.unpack(_double.pack(score))[0]
    return bits | _SIGN if score >= 0 else bits ^ _ALL


def at_bits(bits: int) -> bytes:
    """Return the bytes that sort like what `rank_bits` returned, or one more than that."""
    return _bits.pack(bits)


def sortable(score: float) -> bytes:
    """Return the bytes that sort like the score."""
    bits = _bits.unpack(_double.pack(score))[0]
    return _bits.pack(bits | _SIGN if score >= 0 else bits ^ _ALL)


def from_sortable(name: bytes, at: int) -> float:
    """Return the score whose sortable bytes stand in `name`; -0 comes back as 0."""
    bits = _bits.unpack_from(name, at)[0]
    number: float = _double.unpack(_bits.pack(bits ^ _SIGN if bits & _SIGN else bits ^ _ALL))[0]
    return number


def parse_score(text: bytes) -> float | None:
    """Return the number that all of `text` spells; None when it is none, or doesn't fit a double."""
    if len(text) <= _PLAIN_DIGITS_MAX and text.isdigit():
        return float(text)
    number = _spelled(text)
    if number in (float("inf"), float("-inf")) and not _INFINITE.match(text):
        return None
    if number == 0 and not _is_zero(text):
        return None
    return number


def score(text: bytes, complaint: bytes = NOT_FLOAT) -> float:
    """Return a score; raises CommandError, with the command's own words."""
    number = parse_score(text)
    if number is None:
        raise CommandError(complaint)
    return number


def parse_bound(text: bytes) -> float | None:
    """Return the number of a range's end, read with less care: nothing is 0, too much is infinite."""
    text = text.partition(b"\0")[0]
    return _spelled(text.lstrip(_SPACE)) if text else 0.0


def _spelled(text: bytes) -> float | None:
    if _DECIMAL.match(text):
        return float(text)
    if _HEXADECIMAL.match(text):
        try:
            return float.fromhex(text.decode())
        except OverflowError:
            return float("-inf" if text[:1] == b"-" else "inf")
    infinite = _INFINITE.match(text)
    if infinite:
        return float("-inf" if infinite[1] == b"-" else "inf")
    return None


def _is_zero(text: bytes) -> bool:
    """Whether what is spelled is 0 itself, and not a number that vanishes."""
    if _HEXADECIMAL.match(text):
        return not text.lower().partition(b"p")[0].strip(b"+-").replace(b".", b"")[2:].strip(b"0")
    return not text.lower().partition(b"e")[0].strip(b"+-").replace(b".", b"").strip(b"0")
