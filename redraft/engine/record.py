"""How the value of a key is kept: one bytes object, of which this file is the grammar.

    record   = body | "T" deadline body
    deadline = 8 bytes, big endian: milliseconds since the epoch at which the key is gone
    body     = "$" length CRLF bytes CRLF      a string, as RESP writes it: a GET's reply as it stands
             | ":" decimal CRLF                a string that is a 64-bit integer: an INCR's reply
             | "r$" length CRLF bytes CRLF     a string that was edited in place (Redis's encoding "raw")
             | "e$" length CRLF bytes CRLF     a string computed as a fraction that came out whole

The first byte of a body names its type; types to come take other letters.  Deadlines compare as
bytes.  The same bytes stand in every engine and in snapshots.  What a string is: `payload`.
Nothing here knows keys, slots or the time.
"""

from __future__ import annotations

from typing import Final

STRING: Final = ord("$")
INTEGER: Final = ord(":")
EDITED: Final = ord("r")
COMPUTED: Final = ord("e")
EXPIRING: Final = ord("T")

DEADLINE_BYTES: Final = 8
BODY_AT: Final = 1 + DEADLINE_BYTES
"""Where the body of an expiring record begins."""

TYPE_NAMES: Final = {STRING: b"string", INTEGER: b"string", EDITED: b"string", COMPUTED: b"string"}
"""The name TYPE gives, by the first byte of a body."""


def expiring(body: bytes, deadline_ms: int) -> bytes:
    """Return the record of `body` with a deadline."""
    return b"T" + deadline_ms.to_bytes(DEADLINE_BYTES, "big") + body


def body_of(record: bytes) -> bytes:
    """Return a record's body."""
    return record[BODY_AT:] if record[0] == EXPIRING else record


def deadline_of(record: bytes) -> int | None:
    """Return a record's deadline in milliseconds, None when it has none."""
    return int.from_bytes(record[1:BODY_AT], "big") if record[0] == EXPIRING else None


def with_body_of(record: bytes, body: bytes) -> bytes:
    """Return a record of `body` that keeps the deadline, if any, of `record`."""
    return record[:BODY_AT] + body if record[0] == EXPIRING else body


def type_name(record: bytes) -> bytes:
    """Return the name of the record's type, as TYPE gives it."""
    return TYPE_NAMES[record[BODY_AT] if record[0] == EXPIRING else record[0]]


def string_body(payload: bytes) -> bytes:
    """Return the body of a string."""
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def edited_body(payload: bytes) -> bytes:
    """Return the body of a string that was edited in place."""
    return b"r$%d\r\n%b\r\n" % (len(payload), payload)


def computed_body(payload: bytes) -> bytes:
    """Return the body of a string that was computed as a fraction and came out as an integer."""
    return b"e$%d\r\n%b\r\n" % (len(payload), payload)


def integer_body(number: int) -> bytes:
    """Return the body of a string that is a 64-bit integer."""
    return b":%d\r\n" % number


def payload(body: bytes) -> bytes:
    """Return the string a string's body stands for."""
    if body[0] == INTEGER:
        return body[1:-2]
    return body[body.index(b"\n") + 1 : -2]
