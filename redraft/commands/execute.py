"""Carries out batches of requests against a replica's keyspace: the hot loop of the whole store.

`execute_batch` takes the raw bytes of many requests and returns as many replies.  The commonest
requests (GET, SET, INCR, DEL of one key) are done in the loop itself, on the slot's dict, without
an object for the request; all others go to their handler.  There is a loop for the engine in memory,
here, and one for those on disk (`execute_stored`).  All ways must do the same: the tests run every
sequence through each.

A request never fails a batch: a handler that raises is undone alone and answered with an error.
What does get out: ExpiredKeyError of a read (see `redraft.commands.keyspace`), and what is this machine's
trouble and must not be answered as if it were every replica's: no memory, a disk that can't be read or is
damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from redraft.accel.scan import LOOSE, configure, scan_args
from redraft.base.errors import DamagedError
from redraft.commands import transaction
from redraft.commands.command import Command, Kind
from redraft.commands.context import Context
from redraft.commands.execute_stored import SAFE_INTEGER_BYTES, execute_stored
from redraft.commands.facts_internal import INTERNAL
from redraft.commands.guard import execute_guarded
from redraft.commands.keyspace import ExpiredKeyError
from redraft.commands.reply import (
    NIL,
    OK,
    ONE,
    OVER_MEMORY,
    ZERO,
    CommandError,
    error,
    unknown_command,
    unknown_subcommand,
    wrong_arity,
)
from redraft.commands.table import COMMANDS, IDS, scan_table
from redraft.engine.hash import HashEngine
from redraft.engine.record import BODY_AT, DEADLINE_BYTES, EXPIRING, INTEGER, STRING, STRINGS
from redraft.engine.stored import StoredEngine

configure(scan_table())

_GET, _SET, _INCR, _DEL = (IDS[name] for name in (b"get", b"set", b"incr", b"del"))
_EXEC, _REDRAFT = (IDS[name] for name in (b"exec", b"redraft"))
_NEVER: Final = -2
"""No command's id."""

_PLAIN: Final = {number: command for number, command in enumerate(COMMANDS) if not command.subcommands}
"""The commands that need no look at a subcommand."""

_INTERNAL = error(b"ERR internal error")


def execute_batch(ctx: Context, data: bytes, marks: Sequence[tuple[int, int]]) -> list[bytes]:
    """Carry out the requests in `data`, in order; return a reply for each.

    `marks` says for runs of requests (their number, the protocol of their replies: 2 or 3); the
    numbers add up to that of the requests.  `data` holds whole, valid requests.  `ctx` has to be
    set by `begin` for the entry or the batch of reads.  Requests on slots that are not served are refused
    (`redraft.commands.guard`).
    """
    guarded = ctx.keyspace.guarded
    if guarded is not None and not guarded.isdisjoint(scan_args(data)[0][1::3]):
        return execute_guarded(ctx, data, marks, execute_served)
    return execute_served(ctx, data, marks)


def execute_served(ctx: Context, data: bytes, marks: Sequence[tuple[int, int]]) -> list[bytes]:
    """Do what `execute_batch` does, for requests on slots that are all served."""
    keyspace = ctx.keyspace
    keyspace.now_ms = ctx.now_ms
    keyspace.writing = ctx.write
    if ctx.write:
        keyspace.open_modified()
    commands, spans = scan_args(data)
    requests = zip(commands[0::3], commands[1::3], commands[2::3], strict=True)
    assert sum(mark[0] for mark in marks) * 3 == len(commands), "the marks are not those of the data"
    protocols = {mark[1] for mark in marks}
    if len(protocols) == 1:  # nearly always; a run costs more than a request
        marks = ((len(commands) // 3, protocols.pop()),)
    engine = keyspace.engine
    if not ctx.deny_oom and keyspace.tracker is None:
        if isinstance(engine, HashEngine):
            return _execute_in_memory(ctx, engine, data, marks, requests, spans)
        if isinstance(engine, StoredEngine):
            return execute_stored(ctx, engine, data, marks, requests, spans, _execute)
    replies = []
    span = 0
    for count, ctx.proto in marks:
        for number, ctx.slot, argc in islice(requests, count):
            words = [data[spans[i] : spans[i + 1]] for i in range(span, span + 2 * argc, 2)]
            replies.append(_execute(ctx, number, words))
            span += 2 * argc
    return replies


def _execute_in_memory(
    ctx: Context,
    engine: HashEngine,
    data: bytes,
    marks: Sequence[tuple[int, int]],
    requests: Iterator[tuple[int, int, int]],
    spans: list[int],
) -> list[bytes]:
    """Do what `execute_batch` promises, on an engine whose tables can be written directly.

    A value's record is cut out of the request as it stands (the grammar of a string's body is that
    of RESP), so a GET's reply is the record.  A key that a fast branch can't deal with goes to
    the handlers.  What the branches change in the keyspace's counts is told before a handler runs.
    """
    keyspace, tables, orders, pending = ctx.keyspace, engine.tables, engine.orders, engine.pending
    modified, index = keyspace.modified, keyspace.index
    now = ctx.now_ms.to_bytes(DEADLINE_BYTES, "big")
    get = _GET
    set_, incr, delete = (_SET, _INCR, _DEL) if ctx.write else (_NEVER,) * 3
    replies: list[bytes] = []
    reply = replies.append
    keys = used = 0  # changes not yet told to the keyspace
    span = 0
    for count, proto in marks:
        ctx.proto = proto
        nil = NIL[proto]
        for number, slot, argc in islice(requests, count):
            if number == get:
                if argc == 2:
                    table = tables[slot]
                    record = table.get(data[spans[span + 2] : spans[span + 3]]) if table is not None else None
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
                    table = tables[slot]
                    if table is None:
                        table = tables[slot] = {}
                    end = spans[span + 3]
                    key = data[spans[span + 2] : end]
                    record = data[end + 2 : spans[span + 5] + 2]
                    if pending[slot]:
                        engine.keep(slot, key)
                    old = table.get(key)
                    if old is None:
                        table[key] = record
                        modified[slot] = index
                        keys += 1
                        used += len(key) + len(record)
                        if slot in orders:
                            orders[slot].add(key)
                        reply(OK)
                        span += 6
                        continue
                    if old[0] in STRINGS:
                        table[key] = record
                        modified[slot] = index
                        used += len(record) - len(old)
                        reply(OK)
                        span += 6
                        continue
            elif number == incr:
                if argc == 2:
                    table = tables[slot]
                    if table is None:
                        table = tables[slot] = {}
                    key = data[spans[span + 2] : spans[span + 3]]
                    if pending[slot]:
                        engine.keep(slot, key)
                    old = table.get(key)
                    if old is None:
                        table[key] = b":1\r\n"
                        modified[slot] = index
                        keys += 1
                        used += len(key) + 4
                        if slot in orders:
                            orders[slot].add(key)
                        reply(ONE)
                        span += 4
                        continue
                    if old[0] == INTEGER and len(old) <= SAFE_INTEGER_BYTES:
                        record = b":%d\r\n" % (int(old[1:]) + 1)
                        table[key] = record
                        modified[slot] = index
                        used += len(record) - len(old)
                        reply(record)
                        span += 4
                        continue
            elif number == delete and argc == 2:
                table = tables[slot]
                if table is not None:
                    key = data[spans[span + 2] : spans[span + 3]]
                    if pending[slot]:
                        engine.keep(slot, key)
                    old = table.get(key)
                    if old is None:
                        reply(ZERO)
                        span += 4
                        continue
                    if old[0] in STRINGS:
                        del table[key]
                        modified[slot] = index
                        keys -= 1
                        used -= len(key) + len(old)
                        if slot in orders:
                            orders[slot].discard(key)
                        reply(ONE)
                        span += 4
                        continue
            if used or keys:
                keyspace.grew(keys, used)
                keys = used = 0
            ctx.slot = slot
            following = span + 2 * argc
            reply(_execute(ctx, number, [data[spans[i] : spans[i + 1]] for i in range(span, following, 2)]))
            span = following
    keyspace.grew(keys, used)
    return replies


def _execute(ctx: Context, number: int, words: list[bytes]) -> bytes:
    """Carry out one request by its handler; a request that can't be carried out changes nothing."""
    keyspace = ctx.keyspace
    try:
        command = _PLAIN.get(number)
        if command is None or not command.accepts(len(words)):
            command = _resolved(number, words)
        handler = command.handler
        assert handler is not None, f"{command.name!r} is a command of the node's own"
        assert ctx.write or command.kind is not Kind.WRITE, f"{command.name!r} among reads"
        if ctx.deny_oom and command.denied_when_full:
            return error(OVER_MEMORY)
        reply = handler(ctx, words)
    except CommandError as refused:
        keyspace.undo()
        return refused.reply
    except (ExpiredKeyError, MemoryError, DamagedError, OSError):
        raise
    except Exception as bug:  # noqa: BLE001 - must not stop every replica; reported through `bugs`
        keyspace.undo()
        ctx.bugs.append(bug)
        return _INTERNAL
    journal = keyspace.journal
    if journal:
        if ctx.slot >= 0 and keyspace.tracker is None:
            keyspace.modified[ctx.slot] = keyspace.index
            journal.clear()
        else:
            keyspace.keep()
    if keyspace.dropped:
        keyspace.release()
    return reply


def resolve(number: int, words: list[bytes]) -> Command:
    """Return the command or subcommand that a request is, raising CommandError when it is none."""
    if number < 0:
        raise CommandError(unknown_command(words))
    command = COMMANDS[number & (LOOSE - 1)]
    if number == _EXEC and len(words) > 1:
        return _TRANSACTION
    if not command.accepts(len(words)):
        raise CommandError(wrong_arity(command.name))
    if not command.subcommands or len(words) == 1:
        return command
    name = b"%b|%b" % (command.name, words[1].lower())
    for subcommand in command.subcommands:
        if subcommand.name == name:
            if not subcommand.accepts(len(words)):
                raise CommandError(wrong_arity(name))
            return subcommand
    raise CommandError(unknown_subcommand(command.name, words[1]))


def _resolved(number: int, words: list[bytes]) -> Command:
    """Do what `resolve` does, also for what only nodes may send."""
    if number == _REDRAFT and len(words) > 3 and words[1] in INTERNAL:
        return INTERNAL[words[1]]
    return resolve(number, words)


def _transaction(ctx: Context, words: list[bytes]) -> bytes:
    if ctx.deny_oom and any(_may_grow(requests) for _, _, requests in transaction.segments_of(words)):
        raise CommandError(b"EXECABORT Transaction discarded because of: " + OVER_MEMORY)
    return transaction.carry_out(ctx, words, execute_served)


def _may_grow(requests: bytes) -> bool:
    numbers = scan_args(requests)[0][::3]
    return any(number >= 0 and COMMANDS[number & (LOOSE - 1)].denied_when_full for number in numbers)


_TRANSACTION: Final = replace(COMMANDS[_EXEC], arity=-5, kind=Kind.READ, handler=_transaction)
"""EXEC with arguments: the transaction as the front end sends it; clients' EXEC has none."""
