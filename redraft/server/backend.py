"""What the front end needs of the node below it: the words they share, as protocols.

The node of `redraft.node` fits them, and so does a test's dictionary.  Nothing here is implemented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from redraft.base.config import Config
from redraft.control.slotmoves import MoveRecord
from redraft.control.topology import Command, Refused
from redraft.node.heartbeat import Contact
from redraft.node.seams import Clients
from redraft.replica.request import Request
from redraft.topology.cluster_map import ClusterMap, Group, Member
from redraft.transport.messages import Published


class Contacts(Protocol):
    """What a node has seen of its peers."""

    def contact(self, peer: int) -> Contact:
        """How it gets on with a peer, or with itself."""
        ...


class Publishing(Protocol):
    """The way to the listeners of other nodes."""

    missed: int
    """Messages that were dropped because too much waited for a peer."""

    def tell(self, message: Published) -> None:
        """Send a client's message to all peers, as far as they can be reached now."""
        ...


class Decisions(Protocol):
    """What a node decides on its cluster's behalf."""

    def status(self) -> dict[str, Any]:
        """What is decided, put off, and was decided lately, in JSON's types."""
        ...


class Groups(Protocol):
    """The way to the groups."""

    @property
    def config(self) -> Config:
        """The settings in force."""
        ...

    @property
    def group_of_slot(self) -> Sequence[int]:
        """The owner of each of the 16384 slots; another object whenever anything in it changed."""
        ...

    def submit(self, request: Request) -> None:
        """Take a request; it is completed later, or in this call."""
        ...

    def now_ms(self) -> float:
        """The monotonic clock."""
        ...


class Node(Groups, Protocol):
    """A node as its clients' side sees it.  All of it is synchronous and for the reactor's thread."""

    clients: Clients
    """Who is told of refused requests and of changed maps."""

    @property
    def node_id(self) -> int:
        """This node's small id."""
        ...

    @property
    def cluster(self) -> ClusterMap:
        """The cluster map as of now."""
        ...

    @property
    def heartbeat(self) -> Contacts:
        """What is known of who is alive."""
        ...

    @property
    def moves(self) -> Sequence[MoveRecord]:
        """The moves of slots under way, as the topology of `cluster.epoch` has them."""
        ...

    @property
    def publishing(self) -> Publishing:
        """What clients publish goes here."""
        ...

    @property
    def controller(self) -> Decisions:
        """What it knows of the controller, or is."""
        ...

    @property
    def members(self) -> Sequence[Member]:
        """All nodes, this one included."""
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """All groups with their slots and voters."""
        ...

    @property
    def overloaded(self) -> bool:
        """While true no client's socket is read."""
        ...

    def objection(self, command: Command) -> Refused | None:
        """Why a command on the topology should not be put to its group now, None: put it."""
        ...

    @property
    def leaders_version(self) -> int:
        """Another number than before when `leader_of` may say something else."""
        ...

    def leader_of(self, group: int) -> int:
        """The node that leads a group as far as is known here, 0 when none is."""
        ...

    def save_topology(self) -> None:
        """Have all of the topology on disk that the node goes by; raises OSError."""
        ...

    def reconfigure(self, config: Config) -> None:
        """Put changed settings in force (CONFIG SET)."""
        ...

    def status(self) -> dict[str, Any]:
        """The state of nodes and groups, for REDRAFT STATUS (must go into JSON)."""
        ...

    def info(self) -> Mapping[str, Mapping[str, object]]:
        """Fields for INFO by section (memory, keyspace, raft, ...), as far as the node knows them.

        `memory` has at least `used_memory` in bytes; `keyspace` has `keys` and `expires` of the groups
        this node replicates; `raft` is shown as it is.
        """
        ...


class Reactor(Protocol):
    """What drives sockets: `redraft.transport.reactor.Reactor`."""

    def register(self, fd: int, callback: Callable[[int], None], mask: int) -> None:
        """Call back when epoll reports `fd`."""
        ...

    def unregister(self, fd: int) -> None:
        """Forget `fd`."""
        ...

    def add_flush(self, hook: Callable[[], None]) -> None:
        """Call once per cycle, after the callbacks."""
        ...

    def wake(self) -> None:
        """Ask for another cycle."""
        ...
