"""What a connection listens to: the names it has subscribed to, in each of the three books of `channels`.

Always true: the front end's `channels` knows the connection under exactly these names; the bytes held here
are counted in the front end's `bytes_waiting`; a connection without any has no `subscriptions`, and one in
RESP2 with some is `confined`: messages are no replies there, so it may do little else.

A shard channel is subscribed to at whoever serves its slot.  On the ports of a cluster it is ended by
`end_moved`, and the client told, when its slot is another group's; a change of leaders alone ends nothing,
for every node hears of every message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.accel.scan import key_slot
from redraft.commands.execute import resolve
from redraft.commands.reply import CommandError
from redraft.commands.table import COMMANDS, IDS
from redraft.server import words
from redraft.server.channels import Book
from redraft.server.encode import Push, encode
from redraft.server.port import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redraft.server.connection import Connection
    from redraft.server.frontend import FrontEnd

COST = 128
"""Bytes that a subscription counts for besides its name."""
ALLOWED = frozenset(
    IDS[name]
    for name in (
        b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe", b"ssubscribe", b"sunsubscribe",
        b"ping", b"quit", b"reset",
    )
)  # fmt: skip
"""What a confined connection may do."""


class Subscriptions:
    """The names, by book; a shard channel's with the group that serves it, 0 where that is all the same."""

    __slots__ = ("names", "size")

    def __init__(self) -> None:
        self.names: dict[Book, dict[bytes, int]] = {book: {} for book in Book}
        self.size = 0

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return any(self.names.values())


def names(connection: Connection, book: Book) -> Sequence[bytes]:
    """What a connection has subscribed to in a book."""
    held = connection.subscriptions
    return tuple(held.names[book]) if held is not None else ()


def count(connection: Connection, book: Book) -> int:
    """What a client is told of: shard channels, or channels and patterns together."""
    held = connection.subscriptions
    if held is None:
        return 0
    if book is Book.SHARD:
        return len(held.names[book])
    return len(held.names[Book.CHANNEL]) + len(held.names[Book.PATTERN])


def told(connection: Connection, verb: bytes, book: Book, name: bytes | None) -> bytes:
    """What a client is told once a subscription to a name has begun or ended."""
    return encode(Push((verb, name, count(connection, book))), connection.proto)


def add(connection: Connection, book: Book, name: bytes, group: int = 0) -> None:
    """Subscribe; again is as good as once."""
    held = connection.subscriptions
    if held is None:
        held = connection.subscriptions = Subscriptions()
    if name not in held.names[book]:
        _count(connection, held, len(name) + COST)
        connection.front.channels.add(book, name, connection)
    held.names[book][name] = group
    confine(connection)


def remove(connection: Connection, book: Book, name: bytes) -> None:
    """Subscribe no more; nothing where there is no such subscription."""
    held = connection.subscriptions
    if held is None or name not in held.names[book]:
        return
    connection.front.channels.remove(book, name, connection)
    del held.names[book][name]
    _count(connection, held, -len(name) - COST)
    if not held.any:
        connection.subscriptions = None
        confine(connection)


def forget(connection: Connection) -> None:
    """Subscribe to nothing any more, without a word to the client."""
    for book in Book:
        for name in names(connection, book):
            remove(connection, book, name)


def _count(connection: Connection, held: Subscriptions, size: int) -> None:
    held.size += size
    connection.front.bytes_waiting += size


# ---- RESP2 ----


def confine(connection: Connection) -> None:
    """Find out anew whether a connection is confined: to be called when its protocol has changed."""
    connection.confined = connection.subscriptions is not None and connection.proto == 2


def objection(request: list[bytes], number: int) -> bytes | None:
    """Why a confined connection may not do this, as an error; None: it may, or it is wrong in other ways."""
    if number in ALLOWED or not COMMANDS[number].accepts(len(request)):
        return None
    try:
        return words.confined(resolve(number, request).name)
    except CommandError as wrong:
        return wrong.reply


# ---- slots that move ----


def serving(connection: Connection, channels: Sequence[bytes]) -> list[int] | bytes:
    """Return the group of each shard channel, 0 on the client port, where all are; or the error."""
    port = connection.port
    if not port.cluster_enabled:
        return [0] * len(channels)
    slots = {key_slot(channel) for channel in channels}
    if len(slots) > 1:
        return words.CROSSSLOT
    (slot,) = slots
    group = port.slot_map[slot]
    # a replica serves its master's shard channels, and asks for no READONLY
    where = port.route(Wanted(slot, group, write=False, readonly=True))
    return where if isinstance(where, bytes) else [where] * len(channels)


def end_moved(front: FrontEnd) -> None:
    """End subscriptions to shard channels that are served elsewhere now, and tell the clients."""
    if not front.channels.books[Book.SHARD]:
        return
    here = frozenset((*front.leaders.led, *front.leaders.followed))
    for connection in list(front.connections.values()):
        held = connection.subscriptions
        if held is None or not connection.port.cluster_enabled:
            continue
        for channel, group in list(held.names[Book.SHARD].items()):
            owner = front.leaders.group_of_slot[key_slot(channel)]
            if owner == group and group in here:
                continue
            if owner in connection.port.scope():
                held.names[Book.SHARD][channel] = owner
            elif isinstance(serving(connection, (channel,)), bytes):
                remove(connection, Book.SHARD, channel)
                connection.push(told(connection, b"sunsubscribe", Book.SHARD, channel))
