"""SUBSCRIBE, PUBLISH, PUBSUB and their like: channels of messages, which no group has to do with.

A message reaches whoever listens at the moment it arrives at their node: at most once, and with no trace.
What PUBLISH and PUBSUB count is this node's, as on a node of Redis Cluster.

Confirmations of subscriptions are pushed like messages, between which they have their place: CLIENT REPLY
does not keep them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.server import subscriptions
from redraft.server.channels import Book
from redraft.server.encode import Value
from redraft.server.outcome import Handler, Outcome
from redraft.server.words import ReplyError
from redraft.transport.messages import Published

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def _subscriber(verb: bytes, book: Book) -> Handler:
    def subscribe(connection: Connection, args: list[bytes]) -> Outcome:
        """(P)SUBSCRIBE name [name ...]: on every port the same."""
        for name in args[1:]:
            subscriptions.add(connection, book, name)
            connection.push(subscriptions.told(connection, verb, book, name))
        return _confirmed(connection)

    return subscribe


def _ssubscribe(connection: Connection, args: list[bytes]) -> Outcome:
    """SSUBSCRIBE channel [channel ...]: where the channels' slot is served."""
    groups = _serving(connection, args[1:])
    for channel, group in zip(args[1:], groups, strict=True):
        subscriptions.add(connection, Book.SHARD, channel, group)
        connection.push(subscriptions.told(connection, b"ssubscribe", Book.SHARD, channel))
    return _confirmed(connection)


def _unsubscriber(verb: bytes, book: Book) -> Handler:
    def unsubscribe(connection: Connection, args: list[bytes]) -> Outcome:
        """(P|S)UNSUBSCRIBE [name ...]: of names, or all of the kind."""
        names = args[1:] or subscriptions.names(connection, book)
        for name in names:
            subscriptions.remove(connection, book, name)
            connection.push(subscriptions.told(connection, verb, book, name))
        if not names:
            connection.push(subscriptions.told(connection, verb, book, None))
        return _confirmed(connection)

    return unsubscribe


def _confirmed(connection: Connection) -> Outcome:
    connection.reply(b"")  # the confirmations go out before it
    return Outcome.LATER


def _publish(connection: Connection, args: list[bytes]) -> Value:
    return connection.front.publish(Published(False, args[1], args[2]))


def _spublish(connection: Connection, args: list[bytes]) -> Value:
    _serving(connection, args[1:2])
    return connection.front.publish(Published(True, args[1], args[2]))


def _serving(connection: Connection, channels: list[bytes]) -> list[int]:
    groups = subscriptions.serving(connection, channels)
    if isinstance(groups, bytes):
        raise ReplyError(groups[1:-2])
    return groups


def _lister(book: Book) -> Handler:
    def channels(connection: Connection, args: list[bytes]) -> Value:
        """PUBSUB (SHARD)CHANNELS [pattern]."""
        if len(args) > 3:
            text = b"ERR unknown subcommand or wrong number of arguments for '%b'. Try PUBSUB HELP."
            raise ReplyError(text % args[1][:128])
        return connection.front.channels.names(book, *args[2:])

    return channels


def _counter(book: Book) -> Handler:
    def numsub(connection: Connection, args: list[bytes]) -> Value:
        """PUBSUB (SHARD)NUMSUB [channel ...]: each with how many listen."""
        counted: list[Value] = []
        for channel in args[2:]:
            counted += (channel, connection.front.channels.count(book, channel))
        return counted

    return numsub


def _numpat(connection: Connection, _args: list[bytes]) -> Value:
    return len(connection.front.channels.books[Book.PATTERN])


HANDLERS: dict[bytes, Handler] = {
    b"psubscribe": _subscriber(b"psubscribe", Book.PATTERN),
    b"publish": _publish,
    b"punsubscribe": _unsubscriber(b"punsubscribe", Book.PATTERN),
    b"spublish": _spublish,
    b"ssubscribe": _ssubscribe,
    b"subscribe": _subscriber(b"subscribe", Book.CHANNEL),
    b"sunsubscribe": _unsubscriber(b"sunsubscribe", Book.SHARD),
    b"unsubscribe": _unsubscriber(b"unsubscribe", Book.CHANNEL),
}

SUBCOMMANDS: dict[bytes, Handler] = {
    b"channels": _lister(Book.CHANNEL),
    b"numpat": _numpat,
    b"numsub": _counter(Book.CHANNEL),
    b"shardchannels": _lister(Book.SHARD),
    b"shardnumsub": _counter(Book.SHARD),
}
