"""Errors to clients, in Redis's own words: what programs that know Redis look for."""

from __future__ import annotations

from collections.abc import Sequence

from redraft.accel import scan

PREVIEW_BYTES_MAX = 128
_UNPRINTABLE = bytes.maketrans(b"\r\n", b"  ")


class ReplyError(Exception):
    """Ends a local command with an error reply: the client's fault, told to it."""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self.reply = error(text)


def error(text: str | bytes) -> bytes:
    """Return the error reply of a line that begins with its code (`ERR ...`); CR and LF become spaces."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return b"-%b\r\n" % data.rstrip(b"\r\n").translate(_UNPRINTABLE)


SYNTAX = error("ERR syntax error")
NOT_INTEGER = error("ERR value is not an integer or out of range")
CROSSSLOT = error("CROSSSLOT Keys in request don't hash to the same slot")
SLOT_UNSERVED = error("CLUSTERDOWN Hash slot not served")
READ_ONLY = error("READONLY You can't write against a read only replica.")
MAX_CLIENTS = error("ERR max number of clients reached")
TRANSACTION_FAILED = error("EXECABORT Transaction discarded because of previous errors.")
NOT_IN_TRANSACTION = error("ERR Command not allowed inside a transaction")
TRANSACTION_TOO_LARGE = error("ERR The transaction is too large; use several, or a pipeline without MULTI")
PARTLY = error("TIMEOUT not every group carried out its share; outcome unknown")
_NOT_EXECUTED = (b"-CLUSTERDOWN", b"-TRYAGAIN", b"-MISCONF", b"-OOM")


def joint_error(replies: Sequence[bytes], *, write: bool) -> bytes | None:
    """The error of a command of which each group did its share; None when all did.

    That a write was not executed is said only when no group executed its share, or may have done so.
    """
    errors = [reply for reply in replies if reply.startswith(b"-")]
    if not errors:
        return None
    telling = [reply for reply in errors if not reply.startswith(_NOT_EXECUTED)]
    if not write or len(errors) - len(telling) == len(replies):
        return errors[0]
    return telling[0] if telling else PARTLY


def discarded(why: bytes) -> bytes:
    """EXEC itself was refused with an error, and the transaction is gone."""
    return error(b"EXECABORT Transaction discarded because of: " + why[1:].removeprefix(b"ERR "))


def confined(name: bytes) -> bytes:
    """The connection has subscriptions, and in RESP2 may do little else; EXEC says so in its own way."""
    may = b"(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    refusal = error(b"ERR Can't execute '%b': only %b" % (name, may))
    return discarded(refusal) if name == b"exec" else refusal


def several_groups(name: bytes) -> bytes:
    """A command on the whole keyspace inside a transaction, where there are several groups."""
    return error(b"CROSSSLOT '%b' asks every group; inside a transaction there is one" % name)


def moved(slot: int, address: str) -> bytes:
    """The slot is served elsewhere (Redis Cluster)."""
    return error(f"MOVED {slot} {address}")


def unknown_command(args: Sequence[bytes]) -> bytes:
    """No such command, with a preview of its arguments, 128 bytes of it or little more."""
    preview = b""
    for arg in args[1:]:
        if len(preview) >= PREVIEW_BYTES_MAX:
            break
        preview += b"'%b' " % arg[: PREVIEW_BYTES_MAX - len(preview)].partition(b"\0")[0]
    name = args[0][:PREVIEW_BYTES_MAX].partition(b"\0")[0]
    return error(b"ERR unknown command '%b', with args beginning with: %b" % (name, preview))


def unknown_subcommand(container: str, name: bytes) -> bytes:
    """The container has no such subcommand."""
    short = name[:PREVIEW_BYTES_MAX].partition(b"\0")[0]
    return error(b"ERR unknown subcommand '%b'. Try %b HELP." % (short, container.upper().encode()))


def wrong_arity(name: bytes) -> bytes:
    """Too few or too many arguments; a subcommand's name is `container|name`."""
    return error(b"ERR wrong number of arguments for '%b' command" % name)


_PROTOCOL = {
    scan.BAD_COUNT: "invalid multibulk length",
    scan.BIG_COUNT: "too big mbulk count string",
    scan.BAD_BULK: "invalid bulk length",
    scan.BIG_BULK: "too big bulk count string",
}
BIG_INLINE = error("ERR Protocol error: too big inline request")
UNBALANCED = error("ERR Protocol error: unbalanced quotes in request")


def protocol_error(status: int, offending: int) -> bytes:
    """What ended a scan; the connection is closed after it."""
    if status == scan.BAD_TYPE:
        found = b"%c" % offending
        return error(b"ERR Protocol error: expected '$', got '%b'" % found)
    return error(f"ERR Protocol error: {_PROTOCOL[status]}")
