"""CLUSTER MEET and its like: what changes a Redis Cluster from its nodes is done otherwise here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redraft.server.outcome import Handler
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.encode import Value

_SLOTS: Final = "slots belong to groups and move between them: redraft slots move"
_INSTEAD: Final = {
    b"addslots": _SLOTS,
    b"addslotsrange": _SLOTS,
    b"delslots": _SLOTS,
    b"delslotsrange": _SLOTS,
    b"flushslots": _SLOTS,
    b"setslot": _SLOTS,
    b"failover": "groups elect leaders; redraft group move GROUP --to ID,ID,ID prefers the first",
    b"forget": "a node is removed from all the others at once: redraft node remove ID",
    b"meet": "a node joins when it is started: redraft server --join HOST:PORT",
    b"replicate": "nodes have replicas of groups, not of nodes: redraft group move GROUP --to ID,ID,ID",
    b"reset": "redraft node remove ID, then redraft server --join HOST:PORT in an empty directory",
}
_ALONE: Final = "ERR The user can assign a config epoch only when the node does not know any other node."


def _refusing(name: bytes, instead: str) -> Handler:
    def refuse(_connection: Connection, _args: list[bytes]) -> Value:
        raise ReplyError(f"ERR CLUSTER {name.decode().upper()} is not how it is done here: {instead}")

    return refuse


def _set_config_epoch(_connection: Connection, _args: list[bytes]) -> Value:
    """As Redis says it of a node that is no longer alone; the epoch is the topology's."""
    raise ReplyError(_ALONE)


REFUSED: Final[dict[bytes, Handler]] = {
    b"set-config-epoch": _set_config_epoch,
    **{name: _refusing(name, instead) for name, instead in _INSTEAD.items()},
}
