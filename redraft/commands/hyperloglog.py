"""PFADD, PFCOUNT and PFMERGE: about how many different elements there were."""

from __future__ import annotations

from typing import Final

from redraft.commands.bitmaps import is_edited
from redraft.commands.context import Context
from redraft.commands.reply import OK, ONE, ZERO, CommandError, integer
from redraft.commands.sketch import Sketch, count, is_sketch
from redraft.commands.sketch_sparse import CorruptError
from redraft.commands.strings import find_string
from redraft.engine.record import edited_body, with_body_of

_NO_SKETCH: Final = b"WRONGTYPE Key is not a valid HyperLogLog string value."
_CORRUPT: Final = b"INVALIDOBJ Corrupted HLL object detected"


def _find(ctx: Context, key: bytes) -> tuple[bytes, Sketch] | None:
    """Return (record, sketch) of a key, None without it; raises CommandError for what is no sketch."""
    found = find_string(ctx, key)
    if found is None:
        return None
    if not is_sketch(found[1]):
        raise CommandError(_NO_SKETCH)
    return found[0], Sketch(found[1])


def _find_all(ctx: Context, keys: list[bytes]) -> list[tuple[bytes, Sketch] | None]:
    """Return what `_find` does of several; as in Redis a corrupt one is told of before a later wrong one."""
    found: list[tuple[bytes, Sketch] | None] = []
    for key in keys:
        try:
            found.append(_find(ctx, key))
        except CommandError:
            for _, sketch in filter(None, found):
                sketch.values()
            raise
    return found


def _put(ctx: Context, key: bytes, record: bytes, sketch: Sketch) -> None:
    ctx.keyspace.put(ctx.slot_of(key), key, with_body_of(record, edited_body(bytes(sketch))))


def pfadd(ctx: Context, args: list[bytes]) -> bytes:
    """PFADD key [element ...]."""
    found = _find(ctx, args[1])
    record, sketch = found if found is not None else (b"$", Sketch())
    try:
        changed = sketch.add(args[2:])
    except CorruptError:
        raise CommandError(_CORRUPT) from None
    if changed or found is None:
        sketch.outdate()
    elif is_edited(record):
        return ZERO
    _put(ctx, args[1], record, sketch)
    return ONE if changed or found is None else ZERO


def pfcount(ctx: Context, args: list[bytes]) -> bytes:
    """PFCOUNT key [key ...].

    Within an entry an estimate of one sketch is stored in it; a read without an entry has to do
    without.
    """
    try:
        found = [each for each in _find_all(ctx, args[1:]) if each is not None]
    except CorruptError:
        raise CommandError(_CORRUPT) from None
    if not found:
        return ZERO
    record, sketch = found[0]
    alone = len(args) == 2
    elements = sketch.cached if alone else None
    if elements is None:
        try:
            elements = count([each for _, each in found])
        except CorruptError:
            raise CommandError(_CORRUPT) from None
        if alone:
            sketch.cache(elements)
    elif is_edited(record):
        return integer(elements)
    if alone and ctx.write:
        _put(ctx, args[1], record, sketch)
    return integer(elements)


def pfmerge(ctx: Context, args: list[bytes]) -> bytes:
    """PFMERGE destkey [sourcekey ...]."""
    try:
        own, *sources = _find_all(ctx, args[1:])
        record, sketch = own if own is not None else (b"$", Sketch())
        sketch.merge([source[1] for source in sources if source is not None])
    except CorruptError:
        raise CommandError(_CORRUPT) from None
    _put(ctx, args[1], record, sketch)
    return OK
