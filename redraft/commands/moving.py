"""The commands by which slots move from one group to another; the mover's, never a client's.

In the log of the group that gives slots away (the source):

    REDRAFT MOVE BEGIN move slots target attempt -> OK      the slots are on their way; a higher attempt thaws
    REDRAFT MOVE FREEZE move attempt -> clock               from here on they are not served
    REDRAFT MOVE RELEASE move [keys expiring bytes] -> OK   the target has accepted: they are owned no more
    REDRAFT MOVE UNFREEZE move -> OK                        it has refused: they are served again

In the log of the group that gets them (the target):

    REDRAFT MOVE IMPORT move slots attempt number operations -> OK    number 1 of a higher attempt starts anew
    REDRAFT MOVE ACCEPT move attempt count blob -> ACCEPTED | REFUSED after as many imports of the attempt
    REDRAFT MOVE REFUSE move -> ACCEPTED | REFUSED
    REDRAFT MOVE FORGET move -> OK                                    nobody asks about the move any more

In either's:

    REDRAFT MOVE OVER move -> OK                            all moves below are over, as the topology knows
    REDRAFT MOVE STATUS move -> what this group knows of it, as msgpack (a read)

A command that comes twice does nothing the second time and is answered alike.  What does not fit is answered
by one of the `-MOVE` errors below, and changes nothing.  Numbers are decimal; an ACCEPT's blob is a msgpack
array: the source's clock and its `collections_made`, both as of its FREEZE or later.

Why two groups never serve a slot: the target's log decides once, the first entry counts; it accepts only what
the attempt under way has copied to the end, and the source is frozen before it is asked to; the source thaws
only when the target has refused, or by a new attempt, which has claimed the target before (an import of the
new attempt: from then on the old one's ACCEPT does not fit).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from redraft.commands.context import Context
from redraft.commands.keyspace import Keyspace
from redraft.commands.ownership import Decision, Incoming, Outgoing, Ownership, parse_slots
from redraft.commands.reply import OK, OVER_MEMORY, CommandError, bulk, integer, simple
from redraft.commands.staging import came, decode_operations, stage, take_over, wipe

ACCEPTED: Final = simple(b"ACCEPTED")
REFUSED: Final = simple(b"REFUSED")

GAP: Final = b"MOVE gap"
"""It is not this one's turn: another attempt, another number, or something has to come before."""
DECIDED: Final = b"MOVE decided"
"""The target has decided about the move, or it is over."""
UNFIT: Final = b"MOVE refused: the slots are not this group's, or are on another way"
MALFORMED: Final = b"MOVE malformed"


class Accepted(msgspec.Struct, array_like=True, frozen=True):
    """What the source tells of itself with an ACCEPT."""

    clock_ms: int
    collections_made: int


class Status(msgspec.Struct, frozen=True):
    """What a group knows of a move."""

    phase: str
    """copying, frozen (the source); importing, accepted, refused (the target); closed, unknown."""
    attempt: int = 0
    number: int = 0
    keys: int = 0
    expiring: int = 0
    bytes: int = 0
    """What has come, at the target; RELEASE wants it."""


def move(ctx: Context, args: list[bytes]) -> bytes:
    """REDRAFT MOVE subcommand move [argument ...]."""
    fewest, most, carry_out = _SUBCOMMANDS.get(args[2], (0, 0, None))
    if carry_out is None or not fewest <= len(args) <= most:
        raise CommandError(MALFORMED)
    assert ctx.write or carry_out is _status, "a move is changed by entries only"
    try:
        number = int(args[3])
        return carry_out(ctx, number, args[4:])
    except ValueError:  # nothing was written yet: arguments are read first
        raise CommandError(MALFORMED) from None


def _begin(ctx: Context, number: int, args: list[bytes]) -> bytes:
    slots, target, attempt = list(parse_slots(args[0])), int(args[1]), int(args[2])
    keyspace = ctx.keyspace
    ownership = _ownership(keyspace)
    known = ownership.outgoing.get(number)
    if known is None:
        busy = {slot for other in ownership.outgoing.values() for slot in other.slots}
        if ownership.is_closed(number) or not set(slots) <= set(ownership.owned) - busy:
            raise CommandError(UNFIT)
        ownership.outgoing[number] = Outgoing(slots, target, attempt, keyspace.index)
        keyspace.own(ownership)
        return OK
    if known.slots != slots or known.target != target:
        raise CommandError(UNFIT)
    if attempt < known.attempt:
        raise CommandError(GAP)
    if attempt > known.attempt:
        known.attempt, known.frozen = attempt, False
        keyspace.own(ownership)
    return OK


def _freeze(ctx: Context, number: int, args: list[bytes]) -> bytes:
    keyspace = ctx.keyspace
    attempt = int(args[0])
    ownership = _ownership(keyspace)
    known = ownership.outgoing.get(number)
    if known is None or known.attempt != attempt or known.index == keyspace.index:
        raise CommandError(GAP)
    if not known.frozen:
        known.frozen = True
        keyspace.own(ownership)
    return integer(ctx.now_ms)


def _release(ctx: Context, number: int, args: list[bytes]) -> bytes:
    keyspace = ctx.keyspace
    counts = tuple(map(int, args))
    ownership = _ownership(keyspace)
    known = ownership.outgoing.get(number)
    if known is None:
        return OK
    if not known.frozen or len(counts) not in {0, 3}:
        raise CommandError(GAP)
    keyspace.drop_slots(known.slots, counts)
    del ownership.outgoing[number]
    ownership.close(number)
    gone = set(known.slots)
    ownership.owned = [slot for slot in ownership.owned if slot not in gone]
    keyspace.own(ownership)
    return OK


def _unfreeze(ctx: Context, number: int, _args: list[bytes]) -> bytes:
    keyspace = ctx.keyspace
    ownership = _ownership(keyspace)
    ownership.outgoing.pop(number, None)
    ownership.close(number)
    keyspace.own(ownership)
    return OK


def _import(ctx: Context, number: int, args: list[bytes]) -> bytes:
    slots, attempt, count = list(parse_slots(args[0])), int(args[1]), int(args[2])
    operations = decode_operations(args[3], slots)
    if ctx.deny_oom and operations:  # one without keys makes room
        raise CommandError(OVER_MEMORY)
    keyspace = ctx.keyspace
    ownership = _ownership(keyspace)
    known = ownership.incoming.get(number)
    if known is None:
        if number in ownership.decided or ownership.is_closed(number):
            raise CommandError(DECIDED)
        if not ownership.staged.union(ownership.owned).isdisjoint(slots):
            raise CommandError(UNFIT)
        if count != 1:
            raise CommandError(GAP)
        known = ownership.incoming[number] = Incoming(slots, attempt, keyspace.index)
        keyspace.own(ownership)
    elif known.slots != slots:
        raise CommandError(UNFIT)
    elif attempt > known.attempt and count == 1:
        wipe(keyspace, known)
        known.attempt, known.number = attempt, 0
    elif attempt != known.attempt or count > known.number + 1:
        raise CommandError(GAP)
    if count == known.number + 1:
        stage(keyspace, known, operations)
        known.number = count
    return OK


def _accept(ctx: Context, number: int, args: list[bytes]) -> bytes:
    keyspace = ctx.keyspace
    attempt, count = int(args[0]), int(args[1])
    accepted = msgspec.msgpack.decode(args[2], type=Accepted)
    ownership = _ownership(keyspace)
    if number in ownership.decided:
        return ACCEPTED if ownership.decided[number].accepted else REFUSED
    if ownership.is_closed(number):
        raise CommandError(DECIDED)
    known = ownership.incoming.get(number)
    if known is None or (known.attempt, known.number) != (attempt, count) or known.index == keyspace.index:
        raise CommandError(GAP)
    del ownership.incoming[number]
    ownership.decided[number] = Decision(True, *take_over(keyspace, known))
    ownership.owned = sorted((*ownership.owned, *known.slots))
    ownership.clock_ms = max(ownership.clock_ms, accepted.clock_ms)
    ctx.now_ms = keyspace.now_ms = max(ctx.now_ms, accepted.clock_ms)
    keyspace.collections_made = max(keyspace.collections_made, accepted.collections_made)
    keyspace.mark_modified(known.slots)
    keyspace.own(ownership)
    return ACCEPTED


def _refuse(ctx: Context, number: int, _args: list[bytes]) -> bytes:
    keyspace = ctx.keyspace
    ownership = _ownership(keyspace)
    decision = ownership.decided.get(number)
    if decision is None:
        if ownership.is_closed(number):
            raise CommandError(DECIDED)
        decision = ownership.decided[number] = Decision(False)
        known = ownership.incoming.pop(number, None)
        if known is not None:
            wipe(keyspace, known)
        keyspace.own(ownership)
    return ACCEPTED if decision.accepted else REFUSED


def _forget(ctx: Context, number: int, _args: list[bytes]) -> bytes:
    ownership = _ownership(ctx.keyspace)
    if number in ownership.incoming:
        raise CommandError(GAP)
    ownership.decided.pop(number, None)
    ownership.close(number)
    ctx.keyspace.own(ownership)
    return OK


def _over(ctx: Context, below: int, _args: list[bytes]) -> bytes:
    ownership = _ownership(ctx.keyspace)
    if below > min((*ownership.incoming, *ownership.outgoing, *ownership.decided), default=below):
        raise CommandError(GAP)
    ownership.close_below(below)
    ctx.keyspace.own(ownership)
    return OK


def _status(ctx: Context, number: int, _args: list[bytes]) -> bytes:
    return bulk(msgspec.msgpack.encode(status(ctx.keyspace, number)))


def status(keyspace: Keyspace, number: int) -> Status:
    """Return what a group knows of a move."""
    ownership = keyspace.ownership
    if ownership is None:
        return Status("unknown")
    if number in ownership.outgoing:
        outgoing = ownership.outgoing[number]
        return Status("frozen" if outgoing.frozen else "copying", outgoing.attempt)
    if number in ownership.incoming:
        incoming = ownership.incoming[number]
        return Status("importing", incoming.attempt, incoming.number, *came(keyspace, incoming))
    if number in ownership.decided:
        made = ownership.decided[number]
        phase = "accepted" if made.accepted else "refused"
        return Status(phase, keys=made.keys, expiring=made.expiring, bytes=made.bytes)
    return Status("closed" if ownership.is_closed(number) else "unknown")


def _ownership(keyspace: Keyspace) -> Ownership:
    """The state to be changed; a new one, not yet the keyspace's, for a group without a move so far."""
    return keyspace.ownership if keyspace.ownership is not None else Ownership(keyspace.slots)


_SUBCOMMANDS: Final[dict[bytes, tuple[int, int, Callable[[Context, int, list[bytes]], bytes] | None]]] = {
    b"BEGIN": (7, 7, _begin),
    b"FREEZE": (5, 5, _freeze),
    b"RELEASE": (4, 7, _release),
    b"UNFREEZE": (4, 4, _unfreeze),
    b"IMPORT": (8, 8, _import),
    b"ACCEPT": (7, 7, _accept),
    b"REFUSE": (4, 4, _refuse),
    b"FORGET": (4, 4, _forget),
    b"OVER": (4, 4, _over),
    b"STATUS": (4, 4, _status),
}
"""By name: how many words there are at least and at most, and who carries it out."""
