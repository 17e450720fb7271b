"""REDRAFT REMOVE-NODE and REDRAFT MOVE-GROUP: changes of nodes and placements, put to the topology group.

The answer comes when the change is decided; what follows from it (replicas that move) goes on by itself,
and is seen in REDRAFT STATUS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.control.applier import encode_request
from redraft.control.topology import TOPOLOGY_GROUP, Command, Place, Remove
from redraft.server.encode import Value
from redraft.server.local.outcome import Handler, Outcome
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def _remove_node(connection: Connection, args: list[bytes]) -> Value | Outcome:
    (node_id,) = _numbers(args[2:])
    return _put(connection, Remove(node_id))


def _move_group(connection: Connection, args: list[bytes]) -> Value | Outcome:
    replacing = args[-1].lower() == b"replace"
    group, *voters = _numbers(args[2:-1] if replacing else args[2:])
    return _put(connection, Place(group, tuple(voters), replacing))


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
        raise ReplyError("ERR Nodes and groups are named by their numbers, as REDRAFT STATUS shows them")
    return [int(arg) for arg in args]


SUBCOMMANDS: dict[bytes, Handler] = {b"remove-node": _remove_node, b"move-group": _move_group}
