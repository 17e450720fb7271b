"""MULTI, DISCARD, WATCH, UNWATCH; and EXEC where there is no MULTI (else: `redraft.server.queueing`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.accel.scan import SEVERAL, key_slot
from redraft.base.limits import TRANSACTION_BYTES_MAX
from redraft.server import transaction, words
from redraft.server.encode import OK, Value, encode, encode_request
from redraft.server.outcome import Handler, Outcome
from redraft.server.port import Wanted
from redraft.server.rounds import Gather
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def multi(connection: Connection, _args: list[bytes]) -> Value:
    """MULTI: queue what follows."""
    if connection.transaction is not None:
        raise ReplyError("ERR MULTI calls can not be nested")
    transaction.begin(connection)
    return OK


def discard(connection: Connection, _args: list[bytes]) -> Value:
    """DISCARD: forget the queue, and what is watched."""
    if connection.transaction is None:
        raise ReplyError("ERR DISCARD without MULTI")
    transaction.forget(connection)
    return OK


def exec_(connection: Connection, _args: list[bytes]) -> Value:
    """EXEC without MULTI."""
    assert connection.transaction is None
    raise ReplyError("ERR EXEC without MULTI")


def unwatch(connection: Connection, _args: list[bytes]) -> Value:
    """UNWATCH: watch nothing any more."""
    transaction.unwatch(connection)
    return OK


def watch(connection: Connection, args: list[bytes]) -> Outcome:
    """WATCH key [key ...]: ask the keys' group as of when they are watched."""
    if connection.transaction is not None:
        raise ReplyError("ERR WATCH inside MULTI is not allowed")
    keys = args[1:]
    group = _group(connection, keys)
    watched = connection.watch
    size = sum(len(key) + transaction.WATCH_COST for key in keys) + (watched.size if watched else 0)
    if size > TRANSACTION_BYTES_MAX:
        raise ReplyError(words.TRANSACTION_TOO_LARGE[1:-2])

    def then(replies: list[bytes]) -> None:
        if not replies[0].startswith(b":"):
            connection.reply(replies[0])
            return
        if not connection.closed:
            transaction.watch(connection, asked.groups[0], keys, int(replies[0][1:-2]))
        connection.reply(encode(OK, connection.proto))

    asked = Gather([(group, encode_request(args))], connection.proto, write=False, then=then)
    connection.ask(asked)
    return Outcome.LATER


def _group(connection: Connection, keys: list[bytes]) -> int:
    """The group of keys to be watched, together with those that are."""
    slots = {key_slot(key) for key in keys}
    slot_map = connection.port.slot_map
    groups = {slot_map[slot] for slot in slots}
    slot = slots.pop() if len(slots) == 1 else SEVERAL
    group = groups.pop() if len(groups) == 1 else SEVERAL
    where = connection.port.route(Wanted(slot, group, write=False, readonly=connection.readonly))
    if isinstance(where, bytes):
        raise ReplyError(where[1:-2])
    watched = connection.watch
    if watched is not None and watched.group != where and not watched.is_lost(slot_map):
        raise ReplyError(words.CROSSSLOT[1:-2])
    return where


HANDLERS: dict[bytes, Handler] = {
    b"discard": discard,
    b"exec": exec_,
    b"multi": multi,
    b"unwatch": unwatch,
    b"watch": watch,
}
