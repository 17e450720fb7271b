"""The commands on one set: a member of the collection per member of the set, named by its place.

The flags say how Redis 7.2 would store the set (OBJECT ENCODING): from one form it goes to the next as
members are added, and hardly ever back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from redraft.commands import arguments
from redraft.commands.arguments import parse_integer
from redraft.commands.chance import pick, pick_distinct, pick_many, random_count
from redraft.commands.collection import PLACE_BYTES, Collection, placed
from redraft.commands.context import Context
from redraft.commands.memberscan import scan_members
from redraft.commands.reply import NIL, ONE, SYNTAX, ZERO, CommandError, array, bulk, integer, members
from redraft.engine.record import SET

INTEGERS: Final = 0
LISTED: Final = 1
HASHED: Final = 2
INTEGERS_MAX: Final = 512
LISTED_MAX: Final = 128
LISTED_BYTES_MAX: Final = 64
"""Redis's defaults of set-max-intset-entries, set-max-listpack-entries and set-max-listpack-value."""

_ENCODINGS: Final = (b"intset", b"listpack", b"hashtable")
_REBUILT_SHARE: Final = 5
"""Redis makes a set anew of which SPOP leaves less than a fifth of what it takes."""


def encoding(flags: int) -> bytes:
    """Return Redis's name for how it would store the set."""
    return _ENCODINGS[flags]


def find(ctx: Context, key: bytes) -> Collection | None:
    """Return the set of a key, None without the key; raises CommandError when it is something else."""
    return Collection.find(ctx, key, SET)


def store(ctx: Context, key: bytes, names: Iterable[bytes]) -> int:
    """Put a set of members, by their placed names, in the place of whatever a key holds; return its size."""
    found = Collection.new(ctx, key, SET)
    for name in names:
        _add(found, name)
    found.save()
    return found.size


def shown(ctx: Context, names: Iterable[bytes]) -> bytes:
    """Return the reply that shows a set by the placed names of its members."""
    return members(ctx.proto, [bulk(name[PLACE_BYTES:]) for name in names])


def _add(found: Collection, name: bytes) -> bool:
    """Add a member by its placed name; return whether it is new."""
    if found.members.get(name) is not None:
        return False
    found.add(name, b"")
    if found.flags != HASHED:
        found.flags = _form(found.flags, name[PLACE_BYTES:], found.size)
    return True


def _form(before: int, member: bytes, size: int) -> int:
    """Return the form of a set that was small before a member was added and has `size` members now."""
    if before == INTEGERS and parse_integer(member) is not None:
        return INTEGERS if size <= INTEGERS_MAX else HASHED
    return LISTED if size <= LISTED_MAX and len(member) <= LISTED_BYTES_MAX else HASHED


def _expect(found: Collection, first: bytes, count: int) -> None:
    """Choose the form of a set that is to get so many members, as Redis does: new ones or not."""
    if not found.size:
        found.flags = INTEGERS if parse_integer(first) is not None and count <= INTEGERS_MAX else LISTED
    if found.flags == LISTED and count > LISTED_MAX:
        found.flags = HASHED
    if found.flags == INTEGERS and count > INTEGERS_MAX:
        found.flags = HASHED


# ---- writing ----


def sadd(ctx: Context, args: list[bytes]) -> bytes:
    """SADD key member [member ...]."""
    found = Collection.open_(ctx, args[1], SET)
    flags = found.flags
    if len(args) > LISTED_MAX or not found.size:
        _expect(found, args[2], len(args) - 2)
    added = sum([_add(found, placed(member)) for member in args[2:]])
    if added or found.flags != flags:
        found.save()
    return integer(added)


def srem(ctx: Context, args: list[bytes]) -> bytes:
    """SREM key member [member ...]."""
    found = find(ctx, args[1])
    if found is None:
        return ZERO
    deleted = sum([found.delete(placed(member)) is not None for member in args[2:]])
    if deleted:
        found.save()
    return integer(deleted)


def smove(ctx: Context, args: list[bytes]) -> bytes:
    """SMOVE source destination member."""
    source = find(ctx, args[1])
    if source is None:
        return ZERO
    if args[1] == args[2]:
        return _has(source, args[3])
    destination, name = Collection.open_(ctx, args[2], SET), placed(args[3])
    if source.delete(name) is None:
        return ZERO
    source.save()
    if not destination.size:
        _expect(destination, args[3], 1)
    if _add(destination, name):
        destination.save()
    return ONE


def spop(ctx: Context, args: list[bytes]) -> bytes:
    """SPOP key [count]."""
    if len(args) > 2:
        return _spop_many(ctx, args)
    found = find(ctx, args[1])
    if found is None:
        return NIL[ctx.proto]
    member, value = pick(ctx, found)
    found.discard(placed(member), value)
    found.save()
    return bulk(member)


def _spop_many(ctx: Context, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count = arguments.positive(args[2])
    found = find(ctx, args[1])
    if found is None or not count:
        return members(ctx.proto, [])
    chosen = pick_distinct(ctx, found, count)
    if count >= found.size:
        found.remove_key()
    else:
        for member, _ in chosen:
            found.delete(placed(member))
        if found.flags == HASHED and found.size * _REBUILT_SHARE <= count:
            found.flags = _fresh_form(found)
        found.save()
    return members(ctx.proto, [bulk(member) for member, _ in chosen])


def _fresh_form(found: Collection) -> int:
    """Return the form of a set that is made of these members at once."""
    form = INTEGERS
    for size, (name, _) in enumerate(found.members.range(), 1):
        form = _form(form, name[PLACE_BYTES:], size) if form != HASHED else HASHED
    return form


# ---- reading ----


def _has(found: Collection, member: bytes) -> bytes:
    return ONE if found.members.get(placed(member)) is not None else ZERO


def sismember(ctx: Context, args: list[bytes]) -> bytes:
    """SISMEMBER key member."""
    found = find(ctx, args[1])
    return _has(found, args[2]) if found is not None else ZERO


def smismember(ctx: Context, args: list[bytes]) -> bytes:
    """SMISMEMBER key member [member ...]."""
    found = find(ctx, args[1])
    if found is None:
        return array([ZERO] * (len(args) - 2))
    values = found.members.get_many([placed(member) for member in args[2:]])
    return array([ONE if value is not None else ZERO for value in values])


def scard(ctx: Context, args: list[bytes]) -> bytes:
    """SCARD key."""
    found = find(ctx, args[1])
    return integer(found.size) if found is not None else ZERO


def smembers(ctx: Context, args: list[bytes]) -> bytes:
    """SMEMBERS key."""
    found = find(ctx, args[1])
    return shown(ctx, [name for name, _ in found.members.range()] if found is not None else [])


def sscan(ctx: Context, args: list[bytes]) -> bytes:
    """SSCAN key cursor [MATCH pattern] [COUNT count]."""
    return scan_members(ctx, args, SET, lambda _found, name, _value: (bulk(name),))


def srandmember(ctx: Context, args: list[bytes]) -> bytes:
    """SRANDMEMBER key [count]: a negative count may give a member twice."""
    if len(args) == 2:
        found = find(ctx, args[1])
        return bulk(pick(ctx, found)[0]) if found is not None else NIL[ctx.proto]
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count = random_count(args[2])
    found = find(ctx, args[1])
    chosen = pick_many(ctx, found, count) if found is not None else []
    return array([bulk(member) for member, _ in chosen])
