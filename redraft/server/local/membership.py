"""REDRAFT REMOVE-NODE, MOVE-GROUP, MOVE-SLOTS, SPLIT-GROUP and the like: put to the topology group.

The answer comes when the change is decided; what follows from it (replicas or slots that move) goes on by
itself, and is seen in REDRAFT STATUS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from redraft.control.applier import encode_request
from redraft.control.groups import CreateGroup, DropGroup, MergeGroups, SplitGroup
from redraft.control.slotmoves import CancelMove, MoveSlots, Ranges, read
from redraft.control.topology import TOPOLOGY_GROUP, Command, Drain, Place, Remove
from redraft.server.encode import Value
from redraft.server.outcome import Handler, Outcome
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.server.connection import Connection

SYNTAX: Final = "ERR syntax error"


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
    slots = _slots(args[2])
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


def _create_group(connection: Connection, args: list[bytes]) -> Value | Outcome:
    return _put(connection, CreateGroup(_nodes(args[2:])))


def _split_group(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (group,), rest = _numbers(args[2:3]), args[3:]
    slots: Ranges = ()
    if len(rest) > 1 and rest[0].lower() == b"slots":
        slots, rest = _slots(rest[1]), rest[2:]
    return _put(connection, SplitGroup(group, slots, _nodes(rest)))


def _merge_groups(connection: Connection, args: list[bytes]) -> Value | Outcome:
    source, target = _numbers(args[2:])
    return _put(connection, MergeGroups(source, target))


def _drop_group(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (group,) = _numbers(args[2:])
    return _put(connection, DropGroup(group))


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


def _nodes(args: Sequence[bytes]) -> tuple[int, ...]:
    """What follows NODES; none when nothing is there."""
    if not args:
        return ()
    if args[0].lower() != b"nodes" or len(args) < 2:
        raise ReplyError(SYNTAX)
    return tuple(_numbers(args[1:]))


def _slots(arg: bytes) -> Ranges:
    try:
        return read(arg.decode(errors="replace"))
    except ValueError:
        raise ReplyError(f"ERR Slots are 0 to {SLOTS - 1}, in ranges as 0-99,200") from None


def _numbers(args: Sequence[bytes]) -> list[int]:
    if not all(arg.isdigit() for arg in args):
        raise ReplyError(
            "ERR Nodes, groups and moves are named by their numbers, as REDRAFT STATUS shows them"
        )
    return [int(arg) for arg in args]


SUBCOMMANDS: dict[bytes, Handler] = {
    b"cancel-move": _cancel_move,
    b"create-group": _create_group,
    b"drain-node": _drain_node,
    b"drop-group": _drop_group,
    b"merge-groups": _merge_groups,
    b"move-group": _move_group,
    b"move-slots": _move_slots,
    b"remove-node": _remove_node,
    b"split-group": _split_group,
    b"undrain-node": _drain_node,
}
