"""Python values to RESP2 or RESP3: for replies that a node makes up by itself.

    None -> nil · int -> integer · bytes, str -> bulk · Status -> simple string · Text -> verbatim text
    list, tuple -> array · Members -> set · Push -> push · dict -> map · bool -> boolean
    Encoded -> what it is already

What RESP2 lacks is an array (maps flat), a bulk, or 0 and 1.  Errors are `words`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union


class Status(str):
    """A simple string: one line."""

    __slots__ = ()


class Text(str):
    """Text for people: verbatim in RESP3."""

    __slots__ = ()


class Members(list["Value"]):
    """A set in RESP3, in the order given."""


class Push(tuple["Value", ...]):
    """What a client is told without having asked, in RESP3."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A reply whose bytes are made already, in the protocol of who gets it."""

    data: bytes


Value: TypeAlias = Union[
    bool, int, bytes, str, Encoded, "Sequence[Value]", "Mapping[str, Value]", "Mapping[bytes, Value]", None
]

OK = Status("OK")


def encode(value: Value, proto: int) -> bytes:
    """Return the reply's bytes in RESP `proto` (2 or 3)."""
    out: list[bytes] = []
    _encode(value, proto, out)
    return b"".join(out)


def encode_request(args: Sequence[bytes]) -> bytes:
    """Return a request as clients send it: an array of bulks."""
    return b"*%d\r\n" % len(args) + b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args])


def _encode(value: Value, proto: int, out: list[bytes]) -> None:
    if value is None:
        out.append(b"_\r\n" if proto == 3 else b"$-1\r\n")
    elif isinstance(value, Status):
        out.append(b"+%b\r\n" % value.encode())
    elif isinstance(value, str | bytes):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if proto == 3 and isinstance(value, Text):
            out.append(b"=%d\r\ntxt:%b\r\n" % (len(data) + 4, data))
        else:
            out.append(b"$%d\r\n%b\r\n" % (len(data), data))
    elif isinstance(value, bool):
        out.append((b"#t\r\n" if value else b"#f\r\n") if proto == 3 else b":%d\r\n" % value)
    elif isinstance(value, int):
        out.append(b":%d\r\n" % value)
    elif isinstance(value, Encoded):
        out.append(value.data)
    elif isinstance(value, Mapping):
        out.append(b"%%%d\r\n" % len(value) if proto == 3 else b"*%d\r\n" % (2 * len(value)))
        for key, item in value.items():
            _encode(key, proto, out)
            _encode(item, proto, out)
    else:
        sign = b"*"
        if proto == 3:
            sign = b"~" if isinstance(value, Members) else b">" if isinstance(value, Push) else b"*"
        out.append(b"%b%d\r\n" % (sign, len(value)))
        for item in value:
            _encode(item, proto, out)
