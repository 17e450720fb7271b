"""REDRAFT REMOVE-NODE, DRAIN-NODE, MOVE-GROUP, MOVE-SLOTS and the like: put to the topology group.

The answer comes when the change is decided; what follows from it (replicas or slots that move) goes on by
itself, and is seen in REDRAFT STATUS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.control.applier import encode_request
from redraft.control.slotmoves import CancelMove, MoveSlots, read
from redraft.control.topology import TOPOLOGY_GROUP, Command, Drain, Place, Remove
from redraft.server.encode import Value
from redraft.server.local.outcome import Handler, Outcome
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def _remove_node(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (node_id,) = _numbers(args[2:])
    return _put(connection, Remove(node_id))


def _drain_node(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (node_id,) = _numbers(args[2:])
    return _put(connection, Drain(node_id, args[1].lower() == b"drain-node"))


def _move_group(connection: Connection, args: list[bytes]) -> Value | Outcome:
    replacing = args[-1].lower() == b"replace"
    group, *voters = _numbers(args[2:-1] if replacing else args[2:])
    return _put(connection, Place(group, tuple(voters), replacing))


def _move_slots(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (target,) = _numbers(args[3:])
    try:
        slots = read(args[2].decode(errors="replace"))
    except ValueError:
        raise ReplyError(f"ERR Slots are 0 to {SLOTS - 1}, in ranges as 0-99,200") from None
    owners = {
        connection.front.node.group_of_slot[slot] for low, high in slots for slot in range(low, high + 1)
    }
    if len(owners) > 1:
        named = ", ".join(map(str, sorted(owners)))
        raise ReplyError(f"ERR These slots are of several groups ({named}): move those of each by themselves")
    return _put(connection, MoveSlots(slots, owners.pop(), target))


def _cancel_move(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (move,) = _numbers(args[2:])
    return _put(connection, CancelMove(move))


def _put(connection: Connection, command: Command) -> Outcome:
    refusal = connection.front.node.objection(command)
    if refusal is not None:
        raise ReplyError(f"ERR {refusal.reason}")
    connection.gather(
        [(TOPOLOGY_GROUP, encode_request(command))],
        write=True,
        then=lambda replies: connection.reply(replies[0]),
    )
    return Outcome.LATER


def _numbers(args: Sequence[bytes]) -> list[int]:
    if not all(arg.isdigit() for arg in args):
        raise ReplyError(
            "ERR Nodes, groups and moves are named by their numbers, as REDRAFT STATUS shows them"
        )
    return [int(arg) for arg in args]


SUBCOMMANDS: dict[bytes, Handler] = {
    b"cancel-move": _cancel_move,
    b"drain-node": _drain_node,
    b"move-group": _move_group,
    b"move-slots": _move_slots,
    b"remove-node": _remove_node,
    b"undrain-node": _drain_node,
}
