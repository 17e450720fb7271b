"""Commands of which each group does its share: how they are divided, and how one reply is made of many.

    DEL key [key ...] and its like           by key, for the group that owns the key's slot
    REDRAFT SLOTS ranges DBSIZE (and so on)  by slot: what means the whole keyspace names the slots it means

A group carries out the second kind for exactly the slots that it names, or refuses it.  So each slot answers
once, whatever moves meanwhile.  Shares can be divided again: the way they are put together allows for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from redraft.accel.scan import key_slot
from redraft.commands.reply import NIL
from redraft.server.encode import encode_request
from redraft.server.words import joint_error
from redraft.topology.slots import format_ranges, parse_ranges, ranges_of

Share = tuple[int, bytes]
"""(group, request)"""

DIVISIBLE = frozenset((b"del", b"unlink", b"exists", b"touch"))
"""Commands that mean the same when each key is given to its own group and the integers are added."""

_WRITES = frozenset((b"del", b"unlink", b"flushall", b"flushdb"))


def shares_by_key(words: Sequence[bytes], owners: Sequence[int]) -> list[Share]:
    """Divide a DIVISIBLE command."""
    keys: dict[int, list[bytes]] = {}
    for key in words[1:]:
        keys.setdefault(owners[key_slot(key)], [words[0]]).append(key)
    return [(group, encode_request(some)) for group, some in keys.items()]


def for_slots(ranges: Iterable[tuple[int, int]], words: Sequence[bytes]) -> bytes:
    """Make the request for a group that means these of its slots."""
    return encode_request([b"REDRAFT", b"SLOTS", format_ranges(ranges), *words])


def shares_by_slot(words: Sequence[bytes], owners: Sequence[int]) -> list[Share]:
    """Divide a command made by `for_slots` again, for the owners of now."""
    slots: dict[int, list[int]] = {}
    for first, last in parse_ranges(words[2]):
        for slot in range(first, last + 1):
            slots.setdefault(owners[slot], []).append(slot)
    return [(group, for_slots(ranges_of(some), words[3:])) for group, some in slots.items()]


def joint_reply(name: bytes, replies: Sequence[bytes]) -> bytes:
    """Make one reply of the shares', in any order; `name` is the command's, in lower case."""
    return joint_error(replies, write=name in _WRITES) or _MADE.get(name, _summed)(replies)


def _summed(replies: Sequence[bytes]) -> bytes:
    return b":%d\r\n" % sum(int(reply[1:-2]) for reply in replies)


def _strung(replies: Sequence[bytes]) -> bytes:
    """Make one array of several, without looking at their items."""
    count = 0
    bodies = [b""]
    for reply in replies:
        head, _, body = reply.partition(b"\r\n")
        count += int(head[1:])
        bodies.append(body)
    bodies[0] = b"*%d\r\n" % count
    return b"".join(bodies)


def _first(replies: Sequence[bytes]) -> bytes:
    return replies[0]


def _any(replies: Sequence[bytes]) -> bytes:
    """One that is something; that not all keys are as likely then is for the moment of a move only."""
    return random.choice([reply for reply in replies if reply not in NIL] or replies)


_MADE: dict[bytes, Callable[[Sequence[bytes]], bytes]] = {
    b"flushall": _first,
    b"flushdb": _first,
    b"keys": _strung,
    b"randomkey": _any,
}
