"""The commands on the keyspace as a whole, as far as one group can answer them: for the slots it serves.

The front end says for which (REDRAFT SLOTS), and asks another group for the rest; where it says nothing, in a
transaction, all that the group serves are meant.

A SCAN's cursor is slot << 48 | position, the same on every engine and replica, so that it outlives a
fail-over.  It begins at 0 and a group leads it through the slots it owns; at the first slot that is
another group's the cursor goes back to the client, and with its next call to that group.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.glob import compiled
from redraft.commands.ownership import parse_slots
from redraft.commands.reply import (
    NIL,
    OK,
    REFUSED,
    SYNTAX,
    CommandError,
    array,
    bulk,
    integer,
)
from redraft.engine.interface import POSITION_END
from redraft.engine.record import deadline_of, type_name
from redraft.topology.slots import SLOTS

CURSOR_POSITION_BITS: Final = 48
"""A cursor's lower bits are the position in the slot, the upper ones the slot."""

_CURSOR_MAX: Final = 2**64 - 1


def parse_cursor(text: bytes) -> tuple[int, int]:
    """Return (slot, position) of a cursor; raises CommandError.  A slot of 16384 is the end."""
    digits = text[1:] if text[:1] == b"+" else text
    if text and not (digits.isdigit() and int(digits) <= _CURSOR_MAX):
        raise CommandError(b"ERR invalid cursor")
    cursor = int(digits or b"0")
    return min(cursor >> CURSOR_POSITION_BITS, SLOTS), cursor & ((1 << CURSOR_POSITION_BITS) - 1)


def format_cursor(slot: int, position: int) -> bytes:
    """Return a cursor; 0, the end, once the slots are through."""
    return b"%d" % (slot << CURSOR_POSITION_BITS | position) if slot < SLOTS else b"0"


def scan(ctx: Context, args: list[bytes]) -> bytes:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]: keys past their deadline are left out."""
    slot, position = parse_cursor(args[1])
    pattern, type_wanted, limit = None, None, 10
    rest = iter(args[2:])
    for word in rest:
        option, argument = word.lower(), next(rest, None)
        if argument is None:
            raise CommandError(SYNTAX)
        if option == b"count":
            limit = arguments.integer(argument)
            if limit < 1:
                raise CommandError(SYNTAX)
        elif option == b"match":
            pattern = compiled(argument)
        elif option == b"type":
            type_wanted = argument.lower()
        else:
            raise CommandError(SYNTAX)
    keyspace, engine = ctx.keyspace, ctx.keyspace.engine
    found: list[bytes] = []
    seen = 0
    owned = keyspace.slots
    index = bisect_left(owned, slot)
    while index < len(owned) and owned[index] == slot and keyspace.serves(slot) and seen < limit:
        keys, position = engine.scan(slot, position, limit - seen)
        seen += len(keys)
        for key in keys:
            record = engine.get(slot, key)
            assert record is not None
            if (pattern is None or pattern.match(key)) and (
                type_wanted is None or type_name(record) == type_wanted
            ):
                deadline_ms = deadline_of(record)
                if deadline_ms is None or deadline_ms > ctx.now_ms:
                    found.append(bulk(key))
        if position == POSITION_END:
            slot, position, index = slot + 1, 0, index + 1
    return array([bulk(format_cursor(slot, position)), array(found)])


def slots(ctx: Context, args: list[bytes]) -> bytes:
    """REDRAFT SLOTS slots command [argument ...]: the command for these slots; all of them have to be served.

    That they are is seen to before (`redraft.commands.guard`).
    """
    handler = _HANDLERS.get(args[3].lower())
    if handler is None:
        raise CommandError(SYNTAX)
    wanted = parse_slots(args[2])
    assert ctx.write or handler is not flush, "keys are deleted by entries only"
    owned = ctx.keyspace.slots
    if list(wanted) != owned and not set(wanted) <= set(owned):
        return REFUSED
    ctx.whole = wanted
    try:
        return handler(ctx, args[3:])
    finally:
        ctx.whole = None


def _wanted(ctx: Context) -> Sequence[int]:
    """The slots that are meant."""
    return ctx.whole if ctx.whole is not None else ctx.keyspace.served


def _occupied(ctx: Context) -> Iterator[tuple[int, int]]:
    """Those that have keys, ascending, with the number of their keys."""
    size = ctx.keyspace.engine.slot_size
    return ((slot, count) for slot in _wanted(ctx) if (count := size(slot)))


def keys(ctx: Context, args: list[bytes]) -> bytes:
    """KEYS pattern."""
    ctx.keyspace.settle()
    names = (key for slot, _ in _occupied(ctx) for key in _names(ctx, slot))
    if args[1] != b"*":
        names = filter(compiled(args[1]).match, names)  # type: ignore[assignment]
    return array([bulk(name) for name in names])


def _names(ctx: Context, slot: int) -> Iterator[bytes]:
    """The keys of a slot: in an entry (EXEC) in order, for its replies are the same everywhere."""
    names = (key for key, _ in ctx.keyspace.engine.items(slot))
    return iter(sorted(names)) if ctx.write else names


def randomkey(ctx: Context, _args: list[bytes]) -> bytes:
    """RANDOMKEY."""
    ctx.keyspace.settle()
    count = _count(ctx)
    if not count:
        return NIL[ctx.proto]
    chosen = ctx.random.below(count)
    for slot, size in _occupied(ctx):
        if chosen < size:
            return bulk(next(islice(_names(ctx, slot), chosen, None)))
        chosen -= size
    raise AssertionError("more keys are counted than there are")


def dbsize(ctx: Context, _args: list[bytes]) -> bytes:
    """DBSIZE: keys past their deadline count until they are removed, as in Redis."""
    return integer(_count(ctx))


def _count(ctx: Context) -> int:
    wanted, keyspace = _wanted(ctx), ctx.keyspace
    return keyspace.key_count if len(wanted) == len(keyspace.slots) else keyspace.count(wanted)


def flush(ctx: Context, args: list[bytes]) -> bytes:
    """FLUSHALL and FLUSHDB [ASYNC|SYNC]."""
    if len(args) > 2 or (len(args) == 2 and args[1].lower() not in {b"async", b"sync"}):
        raise CommandError(SYNTAX)
    ctx.keyspace.clear(ctx.whole)
    return OK


def cluster(ctx: Context, args: list[bytes]) -> bytes:
    """CLUSTER COUNTKEYSINSLOT slot, CLUSTER GETKEYSINSLOT slot count: asked of the slot's owner."""
    slot = arguments.integer(args[2])
    count = arguments.integer(args[3]) if len(args) == 4 else None
    if not 0 <= slot < SLOTS or (count is not None and count < 0):
        raise CommandError(b"ERR Invalid slot or number of keys" if len(args) == 4 else b"ERR Invalid slot")
    engine = ctx.keyspace.engine
    if slot in ctx.keyspace.staged:
        return integer(0) if count is None else array([])
    if count is None:
        return integer(engine.slot_size(slot))
    return array([bulk(key) for key, _ in islice(engine.items(slot), count)])


def digest(ctx: Context, _args: list[bytes]) -> bytes:
    """REDRAFT DIGEST, in an entry of its group: every replica makes a digest of its state behind it."""
    ctx.keyspace.digest_wanted = True
    return integer(ctx.keyspace.index)


_HANDLERS: Final[dict[bytes, Callable[[Context, list[bytes]], bytes]]] = {
    b"dbsize": dbsize,
    b"flushall": flush,
    b"flushdb": flush,
    b"keys": keys,
    b"randomkey": randomkey,
}
"""What REDRAFT SLOTS may carry out."""
