"""Transactions as one group carries them out: EXEC in one piece, and what WATCH goes by.

A client's MULTI, EXEC and WATCH are the front end's (`redraft.server.queueing`).  It sends a group

    WATCH key [key ...]                                      -> the index as of which they are watched
    EXEC segments { count protocol requests } { index key }  -> the replies, or Null

A segment is `count` raw requests that stood next to each other in the queue; between two segments stood
a command that the node answers itself.  One segment is answered as Redis answers EXEC; several by an
array with a bulk for each, which holds its replies one after another.  `index` is what WATCH answered
for `key`.

Always true: all of it happens in one entry (or in one read of the applied state), so nothing comes
between; a request that is refused is undone alone.  A watched key counts as changed once anything in
its slot was changed by an entry after `index`: never too late, at times too early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redraft.accel.scan import key_slot
from redraft.commands.context import Context
from redraft.commands.reply import NULL_ARRAY, array, bulk, integer

Run = Callable[[Context, bytes, Sequence[tuple[int, int]]], list[bytes]]
"""`redraft.commands.execute.execute_batch`."""

Segment = tuple[int, int, bytes]
"""How many requests, the protocol of their replies, and their bytes."""


def encode(segments: Sequence[Segment], watched: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """Return the words of an EXEC for a group."""
    words = [b"EXEC", b"%d" % len(segments)]
    for count, proto, requests in segments:
        words += (b"%d" % count, b"%d" % proto, requests)
    for key, index in watched:
        words += (b"%d" % index, key)
    return words


def watch(ctx: Context, args: list[bytes]) -> bytes:
    """WATCH key [key ...]: a read, which first sees to it that no key is past its deadline."""
    keyspace = ctx.keyspace
    for key in args[1:]:
        keyspace.find(ctx.slot_of(key), key)
    return integer(keyspace.index - ctx.write)  # the entry under way is not over: what it changes counts


def segments_of(words: Sequence[bytes]) -> list[Segment]:
    """Return the segments of an EXEC for a group."""
    ends = _segments_end(words)
    return [(int(words[at]), int(words[at + 1]), words[at + 2]) for at in range(2, ends, 3)]


def watched_keys(words: Sequence[bytes]) -> Sequence[bytes]:
    """Return the keys that an EXEC for a group has watched."""
    return words[_segments_end(words) + 1 :: 2]


def carry_out(ctx: Context, words: list[bytes], run: Run) -> bytes:
    """EXEC for a group: `run` carries out the requests of a segment in the context as it is."""
    proto = ctx.proto
    watched = words[_segments_end(words) :]
    if watched and _changed(ctx, watched[::2], watched[1::2]):
        return NULL_ARRAY[proto]
    answers = [run(ctx, requests, [(count, of)]) for count, of, requests in segments_of(words)]
    ctx.proto = proto
    if len(answers) == 1:
        return array(answers[0])
    return array([bulk(b"".join(replies)) for replies in answers])


def _segments_end(words: Sequence[bytes]) -> int:
    return 2 + 3 * int(words[1])


def _changed(ctx: Context, indexes: list[bytes], keys: list[bytes]) -> bool:
    keyspace = ctx.keyspace
    slots = [key_slot(key) for key in keys]
    for slot, key in zip(slots, keys, strict=True):
        keyspace.find(slot, key)  # one past its deadline goes now, and that is a change
    keyspace.keep()
    keyspace.release()
    modified = keyspace.modified
    return bool(modified) and any(
        modified[slot] > int(index) for slot, index in zip(slots, indexes, strict=True)
    )
