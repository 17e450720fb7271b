"""The hot loop of `redraft.commands.execute` on an engine on disk: GET, SET, INCR, DEL of one key.

Looks at the active overlay's tables itself, where what is written and what is asked for often is soon found;
only a key that is not there is asked of the engine.  All else goes to `handle`.  Does what the loop for the
engine in memory does; the tests run every sequence through both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from redraft.commands.context import Context
from redraft.commands.reply import NIL, OK, ONE, ZERO
from redraft.commands.table import IDS
from redraft.engine.overlay import ENTRY_BYTES, MISSING
from redraft.engine.record import BODY_AT, DEADLINE_BYTES, EXPIRING, INTEGER, STRING, STRINGS
from redraft.engine.stored import StoredEngine

_GET, _SET, _INCR, _DEL = (IDS[name] for name in (b"get", b"set", b"incr", b"del"))
_NEVER: Final = -2
"""No command's id."""
SAFE_INTEGER_BYTES: Final = 20
"""Bodies of integers up to this length can be added to without a look at the range."""


def execute_stored(
    ctx: Context,
    engine: StoredEngine,
    data: bytes,
    marks: Sequence[tuple[int, int]],
    requests: Iterator[tuple[int, int, int]],
    spans: list[int],
    handle: Callable[[Context, int, list[bytes]], bytes],
) -> list[bytes]:
    """Do what `execute_batch` promises.

    What the branches change in the counts of the keyspace and the overlay is told before a handler runs.
    """
    keyspace, tables, sizes, active = ctx.keyspace, engine.tables, engine.sizes, engine.active
    fetch, below, make_table = engine.fetch, engine.below, engine.table
    modified, index = keyspace.modified, keyspace.index
    now = ctx.now_ms.to_bytes(DEADLINE_BYTES, "big")
    get = _GET
    set_, incr, delete = (_SET, _INCR, _DEL) if ctx.write else (_NEVER,) * 3
    replies: list[bytes] = []
    reply = replies.append
    keys = used = dirty = 0  # changes not yet told
    span = 0
    for count, proto in marks:
        ctx.proto = proto
        nil = NIL[proto]
        for number, slot, argc in islice(requests, count):
            if number == get:
                if argc == 2:
                    key = data[spans[span + 2] : spans[span + 3]]
                    table = tables[slot]
                    record = table.get(key, MISSING) if table is not None else MISSING
                    if record is MISSING:
                        record = fetch(slot, key)
                    if record is None:
                        reply(nil)
                        span += 4
                        continue
                    if record[0] == STRING:
                        reply(record)
                        span += 4
                        continue
                    if record[0] == EXPIRING and record[BODY_AT] == STRING and record[1:BODY_AT] > now:
                        reply(record[BODY_AT:])
                        span += 4
                        continue
            elif number == set_:
                if argc == 3:
                    end = spans[span + 3]
                    key = data[spans[span + 2] : end]
                    table = tables[slot]
                    if table is None:
                        table = make_table(slot)
                    old = table.get(key, MISSING)
                    grown = 0
                    if old is MISSING:
                        old = below(slot, key)
                        grown = len(key) + ENTRY_BYTES
                    elif old is not None:
                        grown = -len(old)
                    if old is None or old[0] in STRINGS:
                        record = data[end + 2 : spans[span + 5] + 2]
                        table[key] = record
                        modified[slot] = index
                        dirty += grown + len(record)
                        if old is None:
                            sizes[slot] += 1
                            keys += 1
                            used += len(key) + len(record)
                        else:
                            used += len(record) - len(old)
                        reply(OK)
                        span += 6
                        continue
            elif number == incr:
                if argc == 2:
                    key = data[spans[span + 2] : spans[span + 3]]
                    table = tables[slot]
                    if table is None:
                        table = make_table(slot)
                    old = table.get(key, MISSING)
                    grown = 0
                    if old is MISSING:
                        old = below(slot, key)
                        grown = len(key) + ENTRY_BYTES
                    elif old is not None:
                        grown = -len(old)
                    if old is None:
                        table[key] = ONE
                        modified[slot] = index
                        dirty += grown + len(ONE)
                        sizes[slot] += 1
                        keys += 1
                        used += len(key) + len(ONE)
                        reply(ONE)
                        span += 4
                        continue
                    if old[0] == INTEGER and len(old) <= SAFE_INTEGER_BYTES:
                        table[key] = record = b":%d\r\n" % (int(old[1:]) + 1)
                        modified[slot] = index
                        dirty += grown + len(record)
                        used += len(record) - len(old)
                        reply(record)
                        span += 4
                        continue
            elif number == delete and argc == 2:
                key = data[spans[span + 2] : spans[span + 3]]
                table = tables[slot]
                old = table.get(key, MISSING) if table is not None else MISSING
                grown = 0
                if old is MISSING:
                    old = below(slot, key)
                    grown = len(key) + ENTRY_BYTES
                elif old is not None:
                    grown = -len(old)
                if old is None:
                    reply(ZERO)
                    span += 4
                    continue
                if old[0] in STRINGS:
                    if table is None:
                        table = make_table(slot)
                    table[key] = None
                    modified[slot] = index
                    dirty += grown
                    sizes[slot] -= 1
                    keys -= 1
                    used -= len(key) + len(old)
                    reply(ONE)
                    span += 4
                    continue
            if used or dirty or keys:
                keyspace.grew(keys, used)
                active.bytes += dirty
                keys = used = dirty = 0
            ctx.slot = slot
            following = span + 2 * argc
            reply(handle(ctx, number, [data[spans[i] : spans[i + 1]] for i in range(span, following, 2)]))
            span = following
    keyspace.grew(keys, used)
    active.bytes += dirty
    return replies
