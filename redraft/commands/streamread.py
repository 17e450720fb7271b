"""What XREAD and XREADGROUP have in common: how they are called, and how they answer.

XREADGROUP is XREAD for a consumer of a group, so both know each other's options and refuse them by name.
BLOCK is read and checked; nothing here waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from redraft.commands import arguments
from redraft.commands.arguments import INT64_MAX
from redraft.commands.keyspec import behind
from redraft.commands.reply import NULL_ARRAY, SYNTAX, CommandError, array, bulk, mapping

XREAD_KEYS: Final = behind(b"STREAMS", "RO access", start=1, share=2)
XREADGROUP_KEYS: Final = behind(b"STREAMS", "RO access", start=4, share=2)
"""Where the router looks for keys; what is read has to be found there."""


@dataclass(slots=True)
class ReadRequest:
    """What a request asks for; `group` and `consumer` are XREADGROUP's."""

    wanted: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Keys, each with the ID as it was given."""
    limit: int | None = None
    group: bytes | None = None
    consumer: bytes = b""
    no_ack: bool = False


def parse_read(args: list[bytes], now_ms: int) -> ReadRequest:
    """Return what an XREAD or XREADGROUP asks for; raises CommandError."""
    grouped = args[0].lower() == b"xreadgroup"
    request, at = ReadRequest(), 1
    while at < len(args):
        option, left = args[at].lower(), len(args) - at - 1
        if option == b"streams" and left:
            request.wanted = _wanted(args, at, grouped=grouped)
            break
        if option == b"block" and left:
            _check_timeout(args[at + 1], now_ms)
            at += 2
        elif option == b"count" and left:
            count = arguments.integer(args[at + 1])
            request.limit = count if count > 0 else None
            at += 2
        elif option == b"group" and left >= 2:
            _only_xreadgroup(option, grouped=grouped)
            request.group, request.consumer = args[at + 1], args[at + 2]
            at += 3
        elif option == b"noack":
            _only_xreadgroup(option, grouped=grouped)
            request.no_ack = True
            at += 1
        else:
            raise CommandError(SYNTAX)
    if not request.wanted:
        raise CommandError(SYNTAX)
    if grouped and request.group is None:
        raise CommandError(b"ERR Missing GROUP option for XREADGROUP")
    return request


def _wanted(args: list[bytes], at: int, *, grouped: bool) -> list[tuple[bytes, bytes]]:
    """Return keys and IDs behind the word that stands there; raises CommandError."""
    words = args[at + 1 :]
    half, odd = divmod(len(words), 2)
    if odd:
        raise CommandError(
            b"ERR Unbalanced '%b' list of streams: for each stream key an ID or '%b' must be specified."
            % (args[0].lower(), b">" if grouped else b"$")
        )
    keys = (XREADGROUP_KEYS if grouped else XREAD_KEYS).find(args)
    if not keys or keys[0] != at + 1:  # the request went where other words are keys
        raise CommandError(SYNTAX)
    return list(zip(words[:half], words[half:], strict=True))


def _check_timeout(text: bytes, now_ms: int) -> None:
    timeout_ms = arguments.parse_integer(text)
    if timeout_ms is None:
        raise CommandError(b"ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise CommandError(b"ERR timeout is negative")
    if timeout_ms > INT64_MAX - now_ms:
        raise CommandError(b"ERR timeout is out of range")


def _only_xreadgroup(option: bytes, *, grouped: bool) -> None:
    if not grouped:
        raise CommandError(
            b"ERR The %b option is only supported by XREADGROUP. You called XREAD instead." % option.upper()
        )


def show_streams(proto: int, found: list[tuple[bytes, bytes]]) -> bytes:
    """Return the reply: keys, each with its entries as a reply."""
    if not found:
        return NULL_ARRAY[proto]
    if proto == 2:
        return array([array([bulk(key), entries]) for key, entries in found])
    return mapping(proto, [(bulk(key), entries) for key, entries in found])
