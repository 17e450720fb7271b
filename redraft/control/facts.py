"""What the controller decides from: a snapshot of what is known of nodes, groups and moves under way.

Owns no rule.  What is not known is left out, and what is left out is not touched: a node without facts
receives nothing and is not replaced, a group without facts is not moved, weighed or split.  Whoever gathers
the facts counts `dead_ms` and `steady_ms` from no earlier than when it began to watch.

Must not know: how facts are gathered, what is decided from them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from redraft.control.topology import Topology


class NodeFacts(msgspec.Struct, frozen=True):
    """One member: for how long it has not answered (0: it does), and how it fares."""

    node_id: int
    dead_ms: float = 0.0
    cpu: float = 0.0
    """The share of its core that is in use, 0 to 1, over some seconds."""
    memory_full: bool = False
    """It holds as much as it may, or nearly."""


class RangeFacts(msgspec.Struct, frozen=True):
    """What some neighbouring slots of a group hold, and are asked for; `last` is inclusive."""

    first: int
    last: int
    keys: float
    bytes: float
    requests: float


class GroupFacts(msgspec.Struct, frozen=True):
    """One group as its leader tells it; rates are per second."""

    group_id: int
    leader: int
    """Who leads it now, 0 when nobody is known to."""
    keys: float = 0.0
    bytes: float = 0.0
    requests: float = 0.0
    steady_ms: float = float("inf")
    """For how long its slots have been what they are: rates from before say nothing."""
    ranges: tuple[RangeFacts, ...] = ()
    """The same by slots, where that is known; () takes it to be spread evenly over the group's slots."""
    configuration: tuple[int, ...] = ()
    """Raft's present voters of the group (of both halves while joint), () when unknown."""


class Facts(msgspec.Struct, frozen=True):
    """The snapshot; `nodes` and `groups` by id.  Who is drained, and what is moving, the topology says."""

    topology: Topology
    nodes: Mapping[int, NodeFacts]
    groups: Mapping[int, GroupFacts]
