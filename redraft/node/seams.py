"""What a node stands on, as it sees it: links and the log; the machine's, or the simulator's."""

from __future__ import annotations

from typing import Any, Protocol

from redraft.raft.log import LogView


class PeerLink(Protocol):
    """An established link to one peer: first in, first out, until it closes."""

    session: int

    @property
    def queued_bytes(self) -> int: ...
    def send(self, group: int, message: Any) -> None: ...
    def flush(self) -> None: ...


class NodeLog(Protocol):
    """The node's shared log (`redraft.wal`)."""

    def group(self, gid: int) -> LogView: ...
    def flush(self) -> int: ...
    def take_durable(self) -> int: ...
    def has_room(self, size: int) -> bool: ...
    def tend(self, now_ms: float) -> None: ...
