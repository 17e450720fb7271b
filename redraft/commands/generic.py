"""The commands on keys of any type, but for their expiry."""

from __future__ import annotations

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.reply import NO_SUCH_KEY, OK, ONE, SYNTAX, ZERO, CommandError, integer, simple
from redraft.engine.record import type_name


def delete(ctx: Context, args: list[bytes]) -> bytes:
    """DEL key [key ...], which is UNLINK too."""
    keyspace = ctx.keyspace
    removed = 0
    for key in args[1:]:
        slot = ctx.slot_of(key)
        if keyspace.find(slot, key) is not None:
            removed += keyspace.remove(slot, key)
    return integer(removed)


def exists(ctx: Context, args: list[bytes]) -> bytes:
    """EXISTS key [key ...], which is TOUCH too: uses of keys are not recorded."""
    return integer(sum(ctx.keyspace.find(ctx.slot_of(key), key) is not None for key in args[1:]))


def type_(ctx: Context, args: list[bytes]) -> bytes:
    """TYPE key."""
    record = ctx.keyspace.find(ctx.slot_of(args[1]), args[1])
    return simple(type_name(record) if record is not None else b"none")


def _rename(ctx: Context, args: list[bytes], *, overwrite: bool) -> bool:
    """Move a record with its deadline to another key; return whether it may be there."""
    old_slot, new_slot = ctx.slot_of(args[1]), ctx.slot_of(args[2])
    record = ctx.keyspace.find(old_slot, args[1])
    if record is None:
        raise CommandError(NO_SUCH_KEY)
    if args[1] == args[2]:
        return overwrite
    if ctx.keyspace.find(new_slot, args[2]) is not None and not overwrite:
        return False
    ctx.keyspace.rename(old_slot, args[1], new_slot, args[2])
    return True


def rename(ctx: Context, args: list[bytes]) -> bytes:
    """RENAME key newkey."""
    _rename(ctx, args, overwrite=True)
    return OK


def renamenx(ctx: Context, args: list[bytes]) -> bytes:
    """RENAMENX key newkey."""
    return ONE if _rename(ctx, args, overwrite=False) else ZERO


def copy(ctx: Context, args: list[bytes]) -> bytes:
    """COPY source destination [DB destination-db] [REPLACE]: there is one database, 0."""
    replace = False
    rest = iter(args[3:])
    for word in rest:
        option = word.lower()
        if option == b"replace":
            replace = True
        elif option == b"db" and (argument := next(rest, None)) is not None:
            if arguments.small_integer(argument) != 0:
                raise CommandError(b"ERR DB index is out of range")
        else:
            raise CommandError(SYNTAX)
    if args[1] == args[2]:
        raise CommandError(b"ERR source and destination objects are the same")
    slot, destination_slot = ctx.slot_of(args[1]), ctx.slot_of(args[2])
    if ctx.keyspace.find(slot, args[1]) is None:
        return ZERO
    if ctx.keyspace.find(destination_slot, args[2]) is not None and not replace:
        return ZERO
    ctx.keyspace.copy(slot, args[1], destination_slot, args[2])
    return ONE
