"""What a node has to do with, as it sees it: links and the log, whom it serves and who drives it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

from redraft.raft.log import LogView
from redraft.replica.request import Request, not_executed
from redraft.transport.messages import Published


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


class Clients(Protocol):
    """Who serves the clients (`redraft.server`), as far as it has to hear of something."""

    @property
    def waiting(self) -> bool:
        """Whether refused commands wait for their slots to be served."""
        ...

    def refused(self, request: Request, replies: list[bytes]) -> None:
        """Take back a request that ends in commands whose slots its group does not serve."""
        ...

    def map_changed(self) -> None:
        """The node has another map of slots."""
        ...

    def published(self, message: Published) -> int:
        """A client of another node has published something; returns how often it was heard here."""
        ...


class NoClients:
    """Until somebody takes requests from clients."""

    waiting = False

    def refused(self, request: Request, replies: list[bytes]) -> None:
        """Nobody sends it on."""
        not_executed(request, replies)

    def map_changed(self) -> None:
        """Nobody wants to know."""

    def published(self, message: Published) -> int:  # noqa: ARG002 - nobody listens
        """Nobody listens."""
        return 0


class Next(IntEnum):
    """When `Node.flush` wants to be called again."""

    INPUT = 0
    """When something comes in."""
    SOON = 1
    """Within a fraction of a millisecond, also if nothing comes: requests are being gathered."""
    NOW = 2
    """At once: there is more to apply."""
