"""Replies as bytes, for RESP2 and RESP3, with Redis's words for errors.

Functions that take `proto` (2 or 3) differ between the two.  A handler that finds a request wrong
raises `CommandError`; the executor turns it into the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

OK: Final = b"+OK\r\n"
ZERO: Final = b":0\r\n"
ONE: Final = b":1\r\n"
EMPTY_BULK: Final = b"$0\r\n\r\n"
NIL: Final = (b"", b"", b"$-1\r\n", b"_\r\n")
"""No value; by protocol."""
NULL_ARRAY: Final = (b"", b"", b"*-1\r\n", b"_\r\n")
"""No array; by protocol."""
REFUSED: Final = b"!moved\r\n"
"""In place of a reply, and never shown to a client: the group does not serve the command's slots now."""


class CommandError(Exception):
    """A request that can't be carried out; `reply` is what the client is told."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.reply = error(text)


def error(text: bytes) -> bytes:
    """Return an error; `text` begins with its kind (`ERR`, `WRONGTYPE`)."""
    return b"-" + text.translate(_ONE_LINE) + b"\r\n"


_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")

WRONG_TYPE: Final = b"WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_INTEGER: Final = b"ERR value is not an integer or out of range"
NOT_FLOAT: Final = b"ERR value is not a valid float"
SYNTAX: Final = b"ERR syntax error"
NO_SUCH_KEY: Final = b"ERR no such key"
OVER_MEMORY: Final = b"OOM command not allowed when used memory > 'maxmemory'."
TOO_LONG: Final = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"


def wrong_arity(name: bytes) -> bytes:
    """Return the text for a request with too few or too many arguments."""
    return b"ERR wrong number of arguments for '%b' command" % name


def unknown_command(words: Sequence[bytes]) -> bytes:
    """Return the text for a command that does not exist; it quotes the first arguments, as Redis does."""
    quoted = b""
    for word in words[1:]:
        if len(quoted) >= 128:
            break
        quoted += b"'%b' " % word[: 128 - len(quoted)]
    return b"ERR unknown command '%b', with args beginning with: %b" % (words[0][:128], quoted)


def unknown_subcommand(container: bytes, subcommand: bytes) -> bytes:
    """Return the text for a subcommand that does not exist."""
    return b"ERR unknown subcommand '%b'. Try %b HELP." % (subcommand[:128], container.upper())


def subcommand_syntax(container: bytes, subcommand: bytes) -> bytes:
    """Return the text for a subcommand called in a way it does not know."""
    return b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP." % (
        subcommand[:128],
        container,
    )


def invalid_expire_time(name: bytes) -> bytes:
    """Return the text for a time to live that is no time to live."""
    return b"ERR invalid expire time in '%b' command" % name


def integer(number: int) -> bytes:
    """Return an integer."""
    return b":%d\r\n" % number


def bulk(payload: bytes) -> bytes:
    """Return a string of any bytes."""
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def simple(text: bytes) -> bytes:
    """Return a one-line string."""
    return b"+%b\r\n" % text


def double(proto: int, number: float) -> bytes:
    """Return a number with a fraction, spelled as Redis 7.0 does: 17 digits, without zeros at the end."""
    text = b"%.17g" % number
    return b"$%d\r\n%b\r\n" % (len(text), text) if proto == 2 else b",%b\r\n" % text


def array(items: Sequence[bytes]) -> bytes:
    """Return an array of replies."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def bulk_array(values: Sequence[bytes]) -> bytes:
    """Return an array of strings: what `array` makes of their `bulk`s, in less time."""
    if len(sizes := set(map(len, values))) == 1:
        head = b"\r\n$%d\r\n" % sizes.pop()
        return b"*%d%b%b\r\n" % (len(values), head, head.join(values))
    heads = _BULK_HEADS
    parts = [b"*%d" % len(values)] * (2 * len(values) + 1)
    try:
        parts[1::2] = [heads[len(value)] for value in values]
    except IndexError:
        return array(list(map(bulk, values)))
    parts[2::2] = values
    parts.append(b"\r\n")
    return b"".join(parts)


_BULK_HEADS: Final = tuple(b"\r\n$%d\r\n" % size for size in range(512))
"""What stands between a string of so many bytes and what is before it."""


def members(proto: int, items: Sequence[bytes]) -> bytes:
    """Return a set of replies (RESP3), an array (RESP2)."""
    return b"%b%d\r\n%b" % (b"*" if proto == 2 else b"~", len(items), b"".join(items))


def mapping(proto: int, pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a map of replies to replies (RESP3), a flat array (RESP2)."""
    parts = [part for pair in pairs for part in pair]
    if proto == 2:
        return array(parts)
    return b"%%%d\r\n%b" % (len(parts) // 2, b"".join(parts))


def help_text(command: bytes, lines: Iterable[bytes]) -> bytes:
    """Return what `<command> HELP` replies: a line of introduction, the lines, and HELP itself."""
    return array([
        simple(b"%b <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" % command),
        *(simple(line) for line in lines),
        simple(b"HELP"),
        simple(b"    Print this help."),
    ])  # fmt: skip
