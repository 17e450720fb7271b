"""What the leader of the topology group knows of the cluster, as the controller takes it (`control.facts`).

From the topology, from its own heartbeats (who is dead, for how long), and from what the nodes report of
their load.  What was reported a while ago, or by a node that does not answer, is not known; of several
nodes that say they lead a group the one of the newest term is believed.

How long something has been so is counted from when this node began to watch, and it begins anew when it has
not looked for a while: a process that was suspended for ten minutes has not seen anybody dead for as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from redraft.control.facts import Facts, GroupFacts, NodeFacts
from redraft.control.reports import GroupReport, NodeReport
from redraft.control.slotmoves import Ranges
from redraft.control.topology import Topology

if TYPE_CHECKING:
    from redraft.node.node import Node

STALE_MS: Final = 5000.0
"""A report older than this says nothing."""
BLINK_MS: Final = 5000.0
"""With a longer gap between two looks this node was not watching."""


class _Heard(NamedTuple):
    ms: float
    report: NodeReport


class _Steady(NamedTuple):
    slots: Ranges
    since_ms: float


class Gathering:
    """Reports as they came, and since when things are what they are."""

    __slots__ = ("_heard", "_looked_ms", "_node", "_steady", "_watched", "_watching_ms")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._heard: dict[int, _Heard] = {}
        self._steady: dict[int, _Steady] = {}
        self._watched: Topology | None = None
        """What `_steady` is of."""
        self._watching_ms = 0.0
        self._looked_ms = -BLINK_MS - 1

    def take(self, node_id: int, report: NodeReport, now_ms: float) -> None:
        """A node tells of its load."""
        self._heard[node_id] = _Heard(now_ms, report)

    def forget(self) -> None:
        """This node does not lead the topology group: when it does again it begins to watch anew."""
        self._looked_ms = -BLINK_MS - 1

    def facts(self, now_ms: float) -> Facts:
        """What is known now."""
        topology = self._node.steering.roster.topology
        self._watch(topology, now_ms)
        nodes = self._nodes(topology, now_ms)
        fresh = {
            node: self._heard[node].report
            for node, facts in nodes.items()
            if not facts.dead_ms and node in self._heard
        }
        return Facts(topology, nodes, self._groups(topology, fresh, now_ms))

    def _watch(self, topology: Topology, now_ms: float) -> None:
        if now_ms - self._looked_ms > BLINK_MS:
            self._watching_ms = now_ms
            self._steady, self._watched = {}, None
        self._looked_ms = now_ms
        if topology is self._watched:
            return
        self._watched, known = topology, self._steady
        self._steady = {
            group.group_id: before
            if (before := known.get(group.group_id)) is not None and before.slots == group.slots
            else _Steady(group.slots, now_ms)
            for group in topology.groups
        }

    def _nodes(self, topology: Topology, now_ms: float) -> dict[int, NodeFacts]:
        facts = {}
        for record in topology.nodes:
            node_id = record.node_id
            contact = self._node.heartbeat.contact(node_id)
            heard = self._heard.get(node_id)
            if not contact.answers:
                dead_ms = max(1.0, min(contact.silent_ms, now_ms - self._watching_ms))
                facts[node_id] = NodeFacts(node_id, dead_ms)
            elif heard is not None and now_ms - heard.ms <= STALE_MS:
                facts[node_id] = NodeFacts(node_id, 0.0, heard.report.cpu, heard.report.full)
        return facts

    def _groups(
        self, topology: Topology, fresh: dict[int, NodeReport], now_ms: float
    ) -> dict[int, GroupFacts]:
        led: dict[int, tuple[int, GroupReport]] = {}
        reads: dict[int, float] = {}
        for node_id, report in fresh.items():
            for told in report.groups:
                reads[told.group_id] = reads.get(told.group_id, 0.0) + told.reads
                known = led.get(told.group_id)
                if told.term and (known is None or told.term > known[1].term):
                    led[told.group_id] = (node_id, told)
        return {
            group: GroupFacts(
                group,
                known[0],
                float(known[1].keys),
                float(known[1].bytes),
                known[1].writes + reads[group],
                now_ms - self._steady[group].since_ms,
                configuration=known[1].voters,
            )
            for group in (record.group_id for record in topology.groups)
            if (known := led.get(group)) is not None
        }
