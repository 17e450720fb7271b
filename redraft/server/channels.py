"""Who listens to what on this node, and how a message reaches them.

Three books: channels, patterns of channels, and shard channels (SSUBSCRIBE), which have nothing to do with
the others.  A message is handed to every listener that the book has at that moment, channels before
patterns, each in the order of subscribing; nobody is waited for, and nothing is kept.

Always true: a name is in a book as long as somebody listens to it, and no longer.

Must not know connections, slots, or other nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from redraft.commands.glob import compiled
from redraft.server.encode import Push, encode


class Book(Enum):
    """What a name is subscribed to as."""

    CHANNEL = auto()
    PATTERN = auto()
    SHARD = auto()


class Listener(Protocol):
    """Who takes messages, in RESP `proto`."""

    proto: int

    def push(self, data: bytes) -> None:
        """Take the bytes of one message; must not subscribe, nor end a subscription, in this call."""
        ...


Listeners = dict[Listener, None]


class Channels:
    """One node's."""

    __slots__ = ("_expressions", "books")

    def __init__(self) -> None:
        self.books: dict[Book, dict[bytes, Listeners]] = {book: {} for book in Book}
        self._expressions: dict[bytes, re.Pattern[bytes]] = {}

    def add(self, book: Book, name: bytes, listener: Listener) -> None:
        """Let somebody listen who does not yet."""
        names = self.books[book]
        if name not in names:
            names[name] = {}
            if book is Book.PATTERN:
                self._expressions[name] = compiled(name)
        assert listener not in names[name]
        names[name][listener] = None

    def remove(self, book: Book, name: bytes, listener: Listener) -> None:
        """Let somebody listen no more who does."""
        names = self.books[book]
        del names[name][listener]
        if not names[name]:
            del names[name]
            self._expressions.pop(name, None) if book is Book.PATTERN else None

    def count(self, book: Book, name: bytes) -> int:
        """How many listen."""
        return len(self.books[book].get(name, ()))

    def names(self, book: Book, pattern: bytes = b"*") -> list[bytes]:
        """What is listened to, of those that match a pattern."""
        expression = compiled(pattern)
        return [name for name in self.books[book] if expression.match(name)]

    def publish(self, channel: bytes, message: bytes) -> int:
        """Hand a message to all who listen to a channel, or to a pattern it matches; returns how often."""
        heard = _tell(self.books[Book.CHANNEL].get(channel), (b"message", channel, message))
        for pattern, expression in self._expressions.items():
            if expression.match(channel):
                listeners = self.books[Book.PATTERN][pattern]
                heard += _tell(listeners, (b"pmessage", pattern, channel, message))
        return heard

    def publish_shard(self, channel: bytes, message: bytes) -> int:
        """Hand a message to all who listen to a shard channel; returns to how many."""
        return _tell(self.books[Book.SHARD].get(channel), (b"smessage", channel, message))


def _tell(listeners: Iterable[Listener] | None, words: tuple[bytes, ...]) -> int:
    if not listeners:
        return 0
    encoded: dict[int, bytes] = {}
    told = 0
    for listener in listeners:
        proto = listener.proto
        if proto not in encoded:
            encoded[proto] = encode(Push(words), proto)
        listener.push(encoded[proto])
        told += 1
    return told
