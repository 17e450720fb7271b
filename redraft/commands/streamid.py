"""The IDs of a stream's entries: 16 bytes, milliseconds and sequence number, that sort like the IDs.

Reading is as lenient as Redis's: what C's `strtoull` takes for a number is one.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from redraft.commands.arguments import parse_integer
from redraft.commands.reply import CommandError, bulk

UINT64_MAX: Final = 2**64 - 1
ID_BYTES: Final = 16
MIN: Final = bytes(ID_BYTES)
MAX: Final = b"\xff" * ID_BYTES

INVALID: Final = b"ERR Invalid stream ID specified as stream command argument"

_TEXT_BYTES_MAX: Final = 127
_SAFE_DIGITS: Final = 19
_LENIENT: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_ID: Final = struct.Struct(">QQ")

pack = _ID.pack
"""(milliseconds, sequence number) -> ID."""

unpack = _ID.unpack
"""ID -> (milliseconds, sequence number)."""


def spell(entry_id: bytes) -> bytes:
    """Return an ID as clients write it."""
    return b"%d-%d" % unpack(entry_id)


def shown(entry_id: bytes) -> bytes:
    """Return an ID as a reply."""
    return bulk(spell(entry_id))


def following(entry_id: bytes) -> bytes | None:
    """Return the next ID, None after the last."""
    return (int.from_bytes(entry_id, "big") + 1).to_bytes(ID_BYTES, "big") if entry_id != MAX else None


def preceding(entry_id: bytes) -> bytes | None:
    """Return the ID before one, None before the first."""
    return (int.from_bytes(entry_id, "big") - 1).to_bytes(ID_BYTES, "big") if entry_id != MIN else None


def parse_if_valid(text: bytes, sequence: int = 0) -> bytes | None:
    """Return an ID, with a sequence number if the text has none; None when it is no ID."""
    milliseconds, dash, rest = _cut(text).partition(b"-")
    number = _number(milliseconds)
    if dash:
        found = _number(rest)
        if found is None:
            return None
        sequence = found
    return pack(number, sequence) if number is not None else None


def parse(text: bytes, sequence: int = 0) -> bytes:
    """Return an ID; raises CommandError."""
    found = parse_if_valid(text, sequence)
    if found is None:
        raise CommandError(INVALID)
    return found


def parse_new(text: bytes) -> tuple[bytes, bool]:
    """Return the ID of an entry to come, and whether its sequence number was given: not in `5-*`."""
    milliseconds, dash, rest = _cut(text).partition(b"-")
    if dash and rest == b"*":
        return parse(milliseconds), False
    return parse(text), True


def parse_or_end(text: bytes, sequence: int = 0) -> bytes:
    """Return an ID, which may be `-`, the first there can be, or `+`, the last; raises CommandError."""
    if text == b"-":
        return MIN
    return MAX if text == b"+" else parse(text, sequence)


def parse_start(text: bytes) -> bytes:
    """Return the first ID of an interval: `(` leaves the ID out.  Raises CommandError."""
    if len(text) < 2 or text[:1] != b"(":
        return parse_or_end(text)
    start = following(parse(text[1:]))
    if start is None:
        raise CommandError(b"ERR invalid start ID for the interval")
    return start


def parse_end(text: bytes) -> bytes:
    """Return the last ID of an interval: `(` leaves the ID out.  Raises CommandError."""
    if len(text) < 2 or text[:1] != b"(":
        return parse_or_end(text, UINT64_MAX)
    end = preceding(parse(text[1:], UINT64_MAX))
    if end is None:
        raise CommandError(b"ERR invalid end ID for the interval")
    return end


def _cut(text: bytes) -> bytes:
    """Return what C sees of a text; nothing of one that is too long."""
    return text.partition(b"\0")[0] if len(text) <= _TEXT_BYTES_MAX else b""


def _number(text: bytes) -> int | None:
    if len(text) <= _SAFE_DIGITS and text.isdigit():
        return int(text)
    match = _LENIENT.fullmatch(text)
    if match is None or ((number := parse_integer(text)) is not None and number < 0):
        return None
    magnitude = int(match[2])
    if magnitude > UINT64_MAX:
        return None
    return -magnitude % (UINT64_MAX + 1) if match[1] == b"-" else magnitude
