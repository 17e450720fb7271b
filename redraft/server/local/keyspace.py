"""Commands that mean the whole keyspace: asked of every group in the port's scope, the answers made one.

A group is asked about the slots that the map says it owns, by name: those that have moved are asked of their
new owner (`redraft.server.again`), so that each answers once.  On the client port the scope is all
groups; on the primary and replica ports those led, or followed, by this node: cluster clients sum up.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.commands.whole import format_cursor, parse_cursor
from redraft.server import words
from redraft.server.encode import Value, encode, encode_request
from redraft.server.outcome import Handler, Outcome
from redraft.server.shares import Share, for_slots, joint_reply
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def _scope(connection: Connection, *, write: bool) -> Sequence[int]:
    """The groups that this node may ask for its port, as of now: clients sum up what several nodes say."""
    connection.front.refresh()
    if write and connection.port.role != "master":
        raise ReplyError(words.READ_ONLY[1:-2])
    return list(connection.port.scope())


def _shares(connection: Connection, args: list[bytes], *, write: bool) -> list[Share]:
    """The question for each group in scope that has slots; none when this node has nothing to say."""
    groups = connection.port.leaders.groups
    asked = [groups[number] for number in _scope(connection, write=write)]
    return [(group.group_id, for_slots(group.slots, args)) for group in asked if group.slots]


def dbsize(connection: Connection, args: list[bytes]) -> int | Outcome:
    """The keys of all groups."""
    return _ask(connection, args, _shares(connection, args, write=False)) or 0


def keys(connection: Connection, args: list[bytes]) -> list[bytes] | Outcome:
    """The keys of all groups that match."""
    return _ask(connection, args, _shares(connection, args, write=False)) or []


def flush(connection: Connection, args: list[bytes]) -> Outcome:
    """FLUSHALL and FLUSHDB: every group deletes what it owns."""
    asked = _ask(connection, args, _shares(connection, args, write=True), write=True)
    if asked is None:
        raise ReplyError(words.SLOT_UNSERVED[1:-2])
    return asked


def _ask(
    connection: Connection, args: list[bytes], shares: list[Share], *, write: bool = False
) -> Outcome | None:
    """Let each group do its share; None when there is none to do."""
    if not shares:
        return None
    name = args[0].lower()
    connection.gather(shares, write=write, then=lambda replies: connection.reply(joint_reply(name, replies)))
    return Outcome.LATER


def randomkey(connection: Connection, args: list[bytes]) -> Outcome | None:
    """A key of one group, each group as likely as its keys are many."""
    sizes = _shares(connection, [b"DBSIZE"], write=False)
    if not sizes:
        return None
    shares = _shares(connection, args, write=False)

    def then(replies: list[bytes]) -> None:
        wrong = words.joint_error(replies, write=False)
        weights = [int(reply[1:-2]) for reply in replies] if wrong is None else []
        if wrong is not None:
            connection.reply(wrong)
        elif not any(weights):
            connection.reply(encode(None, connection.proto))
        else:
            _ask(connection, args, random.choices(shares, weights))

    connection.gather(sizes, write=False, then=then)
    return Outcome.LATER


def scan(connection: Connection, args: list[bytes]) -> Value | Outcome:
    """SCAN goes through the slots in order; each call is answered by the owner of the cursor's slot."""
    scope = frozenset(_scope(connection, write=False))
    owners = connection.port.slot_map
    slot, _position = parse_cursor(args[1])
    served = _next_served(owners, scope, slot)
    if served == SLOTS:
        return ["0", []]
    if served != slot:
        args = [args[0], format_cursor(served, 0), *args[2:]]
    group = owners[served]

    def then(replies: list[bytes]) -> None:
        connection.reply(_with_served_cursor(replies[0], owners, scope))

    connection.gather([(group, encode_request(args))], write=False, then=then)
    return Outcome.LATER


def _next_served(owners: Sequence[int], scope: frozenset[int], slot: int) -> int:
    """The first slot from `slot` on that a group in scope owns; SLOTS when none is left."""
    while slot < SLOTS and owners[slot] not in scope:
        slot += 1
    return slot


def _with_served_cursor(reply: bytes, owners: Sequence[int], scope: frozenset[int]) -> bytes:
    """Move the cursor of a SCAN reply over slots that nobody in scope owns."""
    if not reply.startswith(b"*2\r\n$"):
        return reply
    _two, _length, cursor, rest = reply.split(b"\r\n", 3)
    slot, _position = parse_cursor(cursor)
    if cursor == b"0":
        return reply
    served = _next_served(owners, scope, slot)
    if served == slot:
        return reply
    moved = format_cursor(served, 0)
    return b"*2\r\n$%d\r\n%b\r\n%b" % (len(moved), moved, rest)


def digest(connection: Connection, args: list[bytes]) -> Value | Outcome:
    """REDRAFT DIGEST: an entry in every group, at which each replica makes one; [[group, entry], ...]."""
    request = encode_request(args)
    questions = [(group, request) for group in _scope(connection, write=True)]

    def then(replies: list[bytes]) -> None:
        wrong = words.joint_error(replies, write=True)
        rows = [[group, int(reply[1:-2])] for (group, _), reply in zip(questions, replies, strict=True)]
        connection.reply(wrong or encode(rows, connection.proto))

    connection.gather(questions, write=True, then=then)
    return Outcome.LATER


SUBCOMMANDS: dict[bytes, Handler] = {b"digest": digest}
"""Of REDRAFT."""

HANDLERS: dict[bytes, Handler] = {
    b"dbsize": dbsize,
    b"flushall": flush,
    b"flushdb": flush,
    b"keys": keys,
    b"randomkey": randomkey,
    b"scan": scan,
}
