"""MEMORY: what a key takes, and what there is to say about memory besides.

A key's size is what the keyspace counts for it, which is what `maxmemory` goes by: exact for the bytes of
names and values, an estimate for what is around them.  So there is nothing to sample.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.keyspace import DEADLINE_BYTES, KEY_BYTES
from redraft.commands.reply import NIL, OK, SYNTAX, CommandError, bulk, help_text, integer
from redraft.engine.record import EXPIRING, weight

_NOTHING_WRONG: Final = bulk(
    b"Nothing is looked for here: INFO memory has what the node takes, maxmemory what the keys may take."
)
_NO_ALLOCATOR: Final = bulk(b"Stats not supported for the current allocator")

_HELP: Final = help_text(b"MEMORY", (
    b"DOCTOR",
    b"    Where to look.",
    b"MALLOC-STATS",
    b"    Nothing: the allocator tells none.",
    b"PURGE",
    b"    Nothing: memory that is free is given back by itself.",
    b"USAGE <key> [SAMPLES <count>]",
    b"    The bytes that a key takes, an estimate.",
))  # fmt: skip


def memory(ctx: Context, args: list[bytes]) -> bytes:
    """MEMORY DOCTOR|HELP|MALLOC-STATS|PURGE, MEMORY USAGE key [SAMPLES count]."""
    subcommand = args[1].lower()
    if subcommand == b"usage":
        return _usage(ctx, args)
    if subcommand == b"purge":
        return OK
    return {b"help": _HELP, b"doctor": _NOTHING_WRONG, b"malloc-stats": _NO_ALLOCATOR}[subcommand]


def _usage(ctx: Context, args: list[bytes]) -> bytes:
    rest = iter(args[3:])
    for word in rest:
        count = next(rest, None)
        if word.lower() != b"samples" or count is None or arguments.integer(count) < 0:
            raise CommandError(SYNTAX)
    record = ctx.keyspace.find(ctx.slot_of(args[2]), args[2])
    if record is None:
        return NIL[ctx.proto]
    deadline = DEADLINE_BYTES if record[0] == EXPIRING else 0
    return integer(KEY_BYTES + len(args[2]) + weight(record) + deadline)
