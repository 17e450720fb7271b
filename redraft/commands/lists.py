"""The commands on lists: what they are asked, and what they say to `redraft.commands.elements`.

Commands that wait for elements are elsewhere; they pop by `pop_first` and `move` as those here do.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from redraft.commands import arguments
from redraft.commands.arguments import INT64_MAX, INT64_MIN
from redraft.commands.context import Context
from redraft.commands.elements import Elements, find_list, open_list
from redraft.commands.reply import (
    NIL,
    NO_SUCH_KEY,
    NULL_ARRAY,
    OK,
    SYNTAX,
    ZERO,
    CommandError,
    array,
    bulk,
    bulk_array,
    integer,
    wrong_arity,
)

_NO_LIST: Final = array([])
_MINUS_ONE: Final = integer(-1)


def encoding(_flags: int) -> bytes:
    """Return Redis's name for how it would store a list, whatever its size (Redis 7.0)."""
    return b"quicklist"


# ---- adding and taking at the ends ----


def _push(found: Elements, values: list[bytes], *, left: bool) -> bytes:
    for value in values:
        found.push(value, left=left)
    found.save()
    return integer(found.size)


def lpush(ctx: Context, args: list[bytes]) -> bytes:
    """LPUSH key element [element ...]."""
    return _push(open_list(ctx, args[1]), args[2:], left=True)


def rpush(ctx: Context, args: list[bytes]) -> bytes:
    """RPUSH key element [element ...]."""
    return _push(open_list(ctx, args[1]), args[2:], left=False)


def lpushx(ctx: Context, args: list[bytes]) -> bytes:
    """LPUSHX key element [element ...]."""
    found = find_list(ctx, args[1])
    return _push(found, args[2:], left=True) if found is not None else ZERO


def rpushx(ctx: Context, args: list[bytes]) -> bytes:
    """RPUSHX key element [element ...]."""
    found = find_list(ctx, args[1])
    return _push(found, args[2:], left=False) if found is not None else ZERO


def lpop(ctx: Context, args: list[bytes]) -> bytes:
    """LPOP key [count]."""
    return _pop(ctx, args, left=True)


def rpop(ctx: Context, args: list[bytes]) -> bytes:
    """RPOP key [count]."""
    return _pop(ctx, args, left=False)


def _pop(ctx: Context, args: list[bytes], *, left: bool) -> bytes:
    if len(args) > 2:
        return _pop_counted(ctx, args, left=left)
    found = find_list(ctx, args[1])
    if found is None:
        return NIL[ctx.proto]
    value = found.pop(left=left)
    found.save()
    return bulk(value)


def _pop_counted(ctx: Context, args: list[bytes], *, left: bool) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_arity(args[0].lower()))
    count = arguments.parse_integer(args[2])
    if count is None or count < 0:
        raise CommandError(b"ERR value is out of range, must be positive")
    found = find_list(ctx, args[1])
    if found is None:
        return NULL_ARRAY[ctx.proto]
    if not count:
        return _NO_LIST
    return bulk_array(_take(found, count, left=left))


def _take(found: Elements, count: int, *, left: bool) -> list[bytes]:
    values = found.pop_many(count, left=left)
    found.save()
    return values


def pop_first(ctx: Context, keys: list[bytes], count: int, *, left: bool) -> tuple[bytes, list[bytes]] | None:
    """Take up to `count` elements of the first key that has a list; return the key and them.

    None when no key has one; raises CommandError when a key before it is of another type.
    """
    for key in keys:
        found = find_list(ctx, key)
        if found is not None:
            return key, _take(found, count, left=left)
    return None


def lmpop(ctx: Context, args: list[bytes]) -> bytes:
    """LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]."""
    keys, count, left = parse_lmpop(args[1:])
    popped = pop_first(ctx, keys, count, left=left)
    if popped is None:
        return NULL_ARRAY[ctx.proto]
    return array([bulk(popped[0]), bulk_array(popped[1])])


def parse_lmpop(words: list[bytes]) -> tuple[list[bytes], int, bool]:
    """Return keys, count and whether it is the left end, from numkeys on; raises CommandError."""
    number = arguments.parse_integer(words[0])
    if number is None or number < 1:
        raise CommandError(b"ERR numkeys should be greater than 0")
    if number > len(words) - 2:
        raise CommandError(SYNTAX)
    keys, options = words[1 : number + 1], words[number + 1 :]
    left = end_of(options[0])
    if len(options) == 1:
        return keys, 1, left
    if len(options) == 2 or options[1].lower() != b"count":
        raise CommandError(SYNTAX)
    count = arguments.parse_integer(options[2])
    if count is None or count < 1:
        raise CommandError(b"ERR count should be greater than 0")
    if len(options) > 3:
        raise CommandError(SYNTAX)
    return keys, count, left


# ---- from one list to another ----


def end_of(word: bytes) -> bool:
    """Return whether it says LEFT; raises CommandError when it says neither LEFT nor RIGHT."""
    end = word.lower()
    if end not in (b"left", b"right"):
        raise CommandError(SYNTAX)
    return end == b"left"


def lmove(ctx: Context, args: list[bytes]) -> bytes:
    """LMOVE source destination LEFT|RIGHT LEFT|RIGHT."""
    moved = move(ctx, args[1], args[2], from_left=end_of(args[3]), to_left=end_of(args[4]))
    return bulk(moved) if moved is not None else NIL[ctx.proto]


def rpoplpush(ctx: Context, args: list[bytes]) -> bytes:
    """RPOPLPUSH source destination."""
    moved = move(ctx, args[1], args[2], from_left=False, to_left=True)
    return bulk(moved) if moved is not None else NIL[ctx.proto]


def move(ctx: Context, source: bytes, destination: bytes, *, from_left: bool, to_left: bool) -> bytes | None:
    """Take an element of one list, add it to another or the same; return it, None without a source."""
    found = find_list(ctx, source)
    if found is None:
        return None
    target = open_list(ctx, destination) if destination != source else found
    value = found.pop(left=from_left)
    target.push(value, left=to_left)
    found.save()
    if target is not found:
        target.save()
    return value


# ---- reading ----


def llen(ctx: Context, args: list[bytes]) -> bytes:
    """LLEN key."""
    found = find_list(ctx, args[1])
    return integer(found.size) if found is not None else ZERO


def _range(first: bytes, last: bytes) -> tuple[int, int]:
    return arguments.integer(first), arguments.integer(last)


def _span(found: Elements, first: int, last: int) -> tuple[int, int]:
    """What two indexes of a client mean: from one up to, not including, the other."""
    size = found.size
    start = max(first if first >= 0 else size + first, 0)
    stop = min(last if last >= 0 else size + last, size - 1) + 1
    return (start, stop) if start < stop else (0, 0)


def lrange(ctx: Context, args: list[bytes]) -> bytes:
    """LRANGE key start stop."""
    first, last = _range(args[2], args[3])
    found = find_list(ctx, args[1])
    if found is None:
        return _NO_LIST
    return bulk_array(found.values(*_span(found, first, last)))


def lindex(ctx: Context, args: list[bytes]) -> bytes:
    """LINDEX key index."""
    found = find_list(ctx, args[1])
    index = found.index(arguments.integer(args[2])) if found is not None else None
    return bulk(found.at(index)) if found is not None and index is not None else NIL[ctx.proto]


def lpos(ctx: Context, args: list[bytes]) -> bytes:
    """LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]."""
    rank, count, limit = _lpos_options(args[3:])
    found = find_list(ctx, args[1])
    if found is None:
        return NIL[ctx.proto] if count is None else _NO_LIST
    size, first = found.size, abs(rank) - 1
    wanted = 1 if count is None else count or size
    matches = found.matches(args[2], backwards=rank < 0, limit=limit or size)
    indexes = list(islice(matches, min(first, size), min(first + wanted, size)))
    if count is not None:
        return array(list(map(integer, indexes)))
    return integer(indexes[0]) if indexes else NIL[ctx.proto]


def _lpos_options(words: list[bytes]) -> tuple[int, int | None, int]:
    """RANK, COUNT (None without it) and MAXLEN."""
    rank, count, limit = 1, None, 0
    rest = iter(words)
    for word in rest:
        option, argument = word.lower(), next(rest, None)
        if argument is None:
            raise CommandError(SYNTAX)
        if option == b"rank":
            rank = _rank(argument)
        elif option == b"count":
            count = _not_negative(argument, b"COUNT")
        elif option == b"maxlen":
            limit = _not_negative(argument, b"MAXLEN")
        else:
            raise CommandError(SYNTAX)
    return rank, count, limit


def _rank(text: bytes) -> int:
    rank = arguments.integer(text)
    if not rank:
        raise CommandError(
            b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
            b"negative to start from the end of the list"
        )
    if rank == INT64_MIN:
        raise CommandError(
            b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX)
        )
    return rank


def _not_negative(text: bytes, option: bytes) -> int:
    number = arguments.parse_integer(text)
    if number is None or number < 0:
        raise CommandError(b"ERR %b can't be negative" % option)
    return number


# ---- in the middle ----


def lset(ctx: Context, args: list[bytes]) -> bytes:
    """LSET key index element."""
    found = find_list(ctx, args[1])
    if found is None:
        raise CommandError(NO_SUCH_KEY)
    index = found.index(arguments.integer(args[2]))
    if index is None:
        raise CommandError(b"ERR index out of range")
    found.replace(index, args[3])
    found.save()
    return OK


def linsert(ctx: Context, args: list[bytes]) -> bytes:
    """LINSERT key BEFORE|AFTER pivot element."""
    where = args[2].lower()
    if where not in (b"before", b"after"):
        raise CommandError(SYNTAX)
    found = find_list(ctx, args[1])
    if found is None:
        return ZERO
    pivot = next(found.matches(args[3]), None)
    if pivot is None:
        return _MINUS_ONE
    found.insert(pivot if where == b"before" else pivot + 1, args[4])
    found.save()
    return integer(found.size)


def lrem(ctx: Context, args: list[bytes]) -> bytes:
    """LREM key count element: a negative count from the end on, 0 for all."""
    count = arguments.integer(args[2])
    found = find_list(ctx, args[1])
    if found is None:
        return ZERO
    matches = found.matches(args[3], backwards=count < 0)
    indexes = sorted(islice(matches, min(abs(count) or found.size, found.size)))
    if indexes:
        found.remove_at(indexes)
        found.save()
    return integer(len(indexes))


def ltrim(ctx: Context, args: list[bytes]) -> bytes:
    """LTRIM key start stop."""
    first, last = _range(args[2], args[3])
    found = find_list(ctx, args[1])
    if found is None:
        return OK
    start, stop = _span(found, first, last)
    found.keep(start, stop)
    found.save()
    return OK
