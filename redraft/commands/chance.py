"""Random members of a collection: the same on every replica and engine.

Members stand in the order of their places, which are as good as random themselves.  In a small collection
every member is as likely as any other; in a large one a random place is looked up and one of the next
`WINDOW` members is taken, which favours none by much and costs the same whatever the size.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments
from redraft.commands.arguments import INT64_MAX, INT64_MIN
from redraft.commands.collection import PLACE_BYTES, Collection
from redraft.commands.context import Context
from redraft.commands.reply import CommandError

WINDOW: Final = 64
SMALL_MAX: Final = 512
"""Up to so many members all are looked at."""

REPEATED_MAX: Final = 1 << 20
"""Members that may be asked for with repetitions; Redis tries to give any number."""

Member = tuple[bytes, bytes]
"""Name, without prefix and place, and value."""


def pick(ctx: Context, found: Collection) -> Member:
    """Return one member, at random."""
    members, prefix, end = found.members, found.prefix, found.end
    if found.elements <= SMALL_MAX:
        chosen = members.range(prefix, end, offset=ctx.random.below(found.elements), limit=1)
    else:
        low = prefix + ctx.random.below(1 << 32).to_bytes(PLACE_BYTES, "big")
        ahead = ctx.random.below(WINDOW)
        chosen = members.range(low, end, offset=ahead, limit=1)
        if not chosen:  # so few are left to the end; the window goes on at the beginning
            chosen = members.range(prefix, end, offset=ahead - members.count(low, end), limit=1)
    ((name, value),) = chosen
    return name[found.name_at :], value


def random_count(text: bytes) -> int:
    """Return the count of a request for random members; raises CommandError."""
    count = arguments.integer(text)
    if count == INT64_MIN:
        raise CommandError(
            b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX)
        )
    return count


def pick_many(ctx: Context, found: Collection, count: int) -> list[Member]:
    """Return different members; for a negative count some that may come again.  Raises CommandError."""
    if count >= 0:
        return pick_distinct(ctx, found, count)
    if count < -REPEATED_MAX:
        raise CommandError(b"ERR value is out of range")
    return [pick(ctx, found) for _ in range(-count)]


def pick_distinct(ctx: Context, found: Collection, count: int) -> list[Member]:
    """Return `count` different members, or all of them if there are not as many."""
    size, name_at = found.elements, found.name_at
    if count >= size or size <= SMALL_MAX or count * 3 > size:
        members = found.members.range(found.prefix, found.end)
        if count < size:
            for at in range(count):  # the first steps of a shuffle (Fisher and Yates)
                other = at + ctx.random.below(size - at)
                members[at], members[other] = members[other], members[at]
        return [(name[name_at:], value) for name, value in members[:count]]
    chosen: dict[bytes, bytes] = {}
    while len(chosen) < count:
        name, value = pick(ctx, found)
        chosen[name] = value
    return list(chosen.items())
