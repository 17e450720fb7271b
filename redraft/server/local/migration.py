"""CLUSTER MIGRATION: slots moved to where the command is asked, as in Redis 8.4's atomic slot migration.

The same moves as REDRAFT MOVE-SLOTS makes, and the whole cluster's: every node shows and cancels all of them.
IMPORT moves slots to a group that the asked node leads, if it leads several to the one that it should lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from redraft.control.applier import encode_request
from redraft.control.slotmoves import CancelMove, MoveRecord, MoveSlots, Ranges, slots_of
from redraft.control.topology import TOPOLOGY_GROUP, Refused
from redraft.server.encode import Value, encode
from redraft.server.migrations import Migration
from redraft.server.outcome import Outcome
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS, ranges_of

if TYPE_CHECKING:
    from redraft.server.connection import Connection

_ARITY: Final = "ERR wrong number of arguments for 'cluster|migration' command"
_UNKNOWN: Final = "ERR unknown argument"


def migration(connection: Connection, args: list[bytes]) -> Value | Outcome:
    """CLUSTER MIGRATION IMPORT start end [start end ...] | STATUS ID id|ALL | CANCEL ID id|ALL."""
    match args[2].lower():
        case b"import":
            return _import(connection, args[3:])
        case b"status":
            return [_shown(connection, each) for each in _chosen(connection, args[3:])]
        case b"cancel":
            return _cancel(connection, _chosen(connection, args[3:]))
    raise ReplyError(_UNKNOWN)


# ---- IMPORT ----


def _import(connection: Connection, args: Sequence[bytes]) -> Outcome:
    slots = _slots(args)
    target, source = _target(connection), _source(connection, slots)
    command = MoveSlots(slots, source, target)
    refusal = connection.front.node.objection(command)
    if isinstance(refusal, Refused):
        raise ReplyError(f"ERR {refusal.reason}")

    def then(replies: list[bytes]) -> None:
        reply = replies[0]
        if reply.startswith(b":"):
            number = int(reply[1:])
            connection.front.migrations.expect(MoveRecord(number, slots, source, target))
            reply = encode(str(number), connection.proto)
        connection.reply(reply)

    connection.gather([(TOPOLOGY_GROUP, encode_request(command))], write=True, then=then)
    return Outcome.LATER


def _slots(args: Sequence[bytes]) -> Ranges:
    if len(args) % 2:
        raise ReplyError(_ARITY)
    named: set[int] = set()
    for low, high in zip(map(_slot, args[::2]), map(_slot, args[1::2]), strict=True):
        if low > high:
            raise ReplyError(f"ERR start slot number {low} is greater than end slot number {high}")
        again = named.intersection(range(low, high + 1))
        if again:
            raise ReplyError(f"ERR Slot {min(again)} specified multiple times")
        named.update(range(low, high + 1))
    return tuple(ranges_of(named))


def _slot(arg: bytes) -> int:
    slot = int(arg) if arg.isdigit() and len(arg) <= len(str(SLOTS)) else SLOTS
    if slot >= SLOTS:
        raise ReplyError("ERR Invalid or out of range slot")
    return slot


def _target(connection: Connection) -> int:
    """The group to get the slots: of those this node leads the first that it should lead, else the first."""
    leaders, here = connection.front.leaders, connection.front.node.node_id
    if connection.port.role != "master":
        raise ReplyError("ERR CLUSTER MIGRATION IMPORT is not allowed on replica ports: ask the primary port")
    led = [group for group in leaders.all_groups if leaders.leads(group)]
    if not led:
        raise ReplyError(
            "ERR This node leads no group that could get slots: ask one that does (CLUSTER NODES)"
        )
    return next((group for group in led if leaders.groups[group].voters[0] == here), led[0])


def _source(connection: Connection, slots: Ranges) -> int:
    leaders = connection.front.leaders
    owners = {leaders.group_of_slot[slot] for slot in slots_of(slots)}
    if any(leaders.leads(owner) for owner in owners):
        raise ReplyError("ERR This node is already the owner of the slot, or of some of them")
    if len(owners) > 1:
        named = ", ".join(map(str, sorted(owners)))
        raise ReplyError(f"ERR slots belong to different source groups ({named}): import those of each alone")
    return owners.pop()


# ---- STATUS, CANCEL ----


def _chosen(connection: Connection, args: Sequence[bytes]) -> list[Migration]:
    """The migrations that ID or ALL means; an id that is none's means nothing."""
    known = connection.front.migrations
    word = args[0].lower() if args else b""
    if word not in (b"id", b"all") and len(args) in (1, 2):
        raise ReplyError(_UNKNOWN)
    if len(args) != (2 if word == b"id" else 1):
        raise ReplyError(_ARITY)
    if word == b"all":
        return known.newest_first()
    number = int(args[1]) if args[1].isdigit() and len(args[1]) < 20 else 0
    found = known.of(number)
    return [found] if found is not None else []


def _shown(connection: Connection, each: Migration) -> Value:
    leaders, move = connection.front.leaders, each.move
    source, target = leaders.known(move.source), leaders.known(move.target)
    migrates = leaders.leads(move.source) and not leaders.leads(move.target)
    return {
        "id": str(move.move_id),
        "slots": " ".join(f"{low}-{high}" for low, high in move.slots),
        "source": source.hex_id if source is not None else "",
        "dest": target.hex_id if target is not None else "",
        "operation": "migrate" if migrates else "import",
        "state": each.state.value,
        "last_error": "",
        "retries": 0,
        "create_time": each.heard_ms,
        "start_time": each.heard_ms,
        "end_time": each.ended_ms,
        "write_pause_ms": 0,
    }


def _cancel(connection: Connection, chosen: Sequence[Migration]) -> Value | Outcome:
    """How many were given up: none that has ended, or whose slots have been handed over."""
    commands = [CancelMove(each.move.move_id) for each in chosen if not each.ended_ms]
    questions = [
        (TOPOLOGY_GROUP, encode_request(command))
        for command in commands
        if connection.front.node.objection(command) is None
    ]
    if not questions:
        return 0

    def then(replies: list[bytes]) -> None:
        given_up = sum(reply.startswith(b":") for reply in replies)
        failed = [reply for reply in replies if not reply.startswith((b":", b"-ERR"))]
        connection.reply(failed[0] if failed and not given_up else encode(given_up, connection.proto))

    connection.gather(questions, write=True, then=then)
    return Outcome.LATER
