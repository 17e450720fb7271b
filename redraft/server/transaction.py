"""What a connection holds of a transaction: the commands queued since MULTI, the keys it watches.

Always true: all bytes held here are counted in the front end's `bytes_waiting` until `forget`; keys that
are watched are of one group, or lost.  Must not know how commands are routed or carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redraft.accel.scan import key_slot
from redraft.base.limits import TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redraft.server.connection import Connection
    from redraft.server.outcome import Handler

WATCH_COST = 64
"""Bytes that a watched key counts for besides its own."""


class Queued(NamedTuple):
    """A queued command, as it came; `handler` is set when the node itself sees to it."""

    request: bytes
    handler: Handler | None


class Transaction:
    """The commands queued so far; `failed` once one was refused.

    `groups` and `slots` are those of the commands with keys, by `slot_map`; `keyless` is where others go.
    """

    __slots__ = ("commands", "failed", "groups", "keyless", "size", "slot_map", "slots", "write")

    def __init__(self, slot_map: Sequence[int]) -> None:
        self.slot_map = slot_map
        self.commands: list[Queued] = []
        self.failed = False
        self.groups: set[int] = set()
        self.slots: set[int] = set()
        self.keyless = 0
        self.write = False
        self.size = 0

    def has_room(self, size: int) -> bool:
        """Whether one more command of `size` bytes may be queued."""
        return len(self.commands) < TRANSACTION_COMMANDS_MAX and self.size + size <= TRANSACTION_BYTES_MAX


class Watch:
    """The watched keys of one group, each with the index as of which it is watched (the earliest).

    `group` is 0 once slots have moved in between: what is watched is not one group's any more.
    """

    __slots__ = ("group", "indexes", "size")

    def __init__(self, group: int) -> None:
        self.group = group
        self.indexes: dict[bytes, int] = {}
        self.size = 0

    def is_lost(self, slot_map: Sequence[int]) -> bool:
        """Whether a watched key's slot has left the group: that counts as a change of the key."""
        return any(slot_map[key_slot(key)] != self.group for key in self.indexes)


def begin(connection: Connection) -> None:
    """Queue commands from now on."""
    assert connection.transaction is None
    connection.transaction = Transaction(connection.port.slot_map)


def enqueue(connection: Connection, command: Queued) -> None:
    """Queue a command."""
    transaction = connection.transaction
    assert transaction is not None
    transaction.commands.append(command)
    transaction.size += len(command.request)
    connection.front.bytes_waiting += len(command.request)


def watch(connection: Connection, group: int, keys: Sequence[bytes], index: int) -> None:
    """Watch keys as of `index`; a key that is watched already stays so as of then."""
    watched = connection.watch
    if watched is None:
        watched = connection.watch = Watch(group)
    if watched.group != group:
        watched.group = 0
    for key in keys:
        if key not in watched.indexes:
            watched.indexes[key] = index
            watched.size += len(key) + WATCH_COST
            connection.front.bytes_waiting += len(key) + WATCH_COST


def unwatch(connection: Connection) -> None:
    """Watch nothing any more."""
    if connection.watch is not None:
        connection.front.bytes_waiting -= connection.watch.size
        connection.watch = None


def forget(connection: Connection) -> None:
    """Neither queue nor watch any more: the transaction was carried out or given up."""
    if connection.transaction is not None:
        connection.front.bytes_waiting -= connection.transaction.size
        connection.transaction = None
    unwatch(connection)
