"""What this node tells of its load: measured, smoothed, and sent to whoever leads the topology group.

Rates are counted on every replica, whoever leads, so that a new leader knows them at once.  They are means
over some time in which older counts fade: a second says little of a load.

Must not know what is decided from it (`redraft.control`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from redraft.control.reports import GroupReport, NodeReport
from redraft.control.topology import TOPOLOGY_GROUP

if TYPE_CHECKING:
    from redraft.node.clock import Clock
    from redraft.node.node import Node
    from redraft.replica.apply import Applier
    from redraft.replica.replica import Replica

FADES_MS: Final = 15_000.0
"""What was counted so long ago counts for about a third (1/e)."""
NEARLY_FULL: Final = 0.9
"""With this share of `maxmemory` in use a node is given no more."""


class Rates(NamedTuple):
    """Commands per second of one replica, and what was counted at the last look."""

    applier: Applier
    writes: int
    reads: int
    writes_per_s: float = 0.0
    reads_per_s: float = 0.0


class Reporting:
    """One node's measurements."""

    __slots__ = ("_clock", "_cpu", "_cpu_ms", "_measured_ms", "_node", "_rates")

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._measured_ms, self._cpu_ms = clock.now_ms(), clock.cpu_ms()
        self._cpu = 0.0
        self._rates: dict[int, Rates] = {}

    def measure(self, now_ms: float) -> NodeReport:
        """Look at what was done since the last call; returns what there is to tell."""
        passed_ms, self._measured_ms = max(1.0, now_ms - self._measured_ms), now_ms
        cpu_ms = self._clock.cpu_ms()
        used, self._cpu_ms = (cpu_ms - self._cpu_ms) / passed_ms, cpu_ms
        keep = math.exp(-passed_ms / FADES_MS)
        self._cpu = self._cpu * keep + min(1.0, used) * (1 - keep)
        replicas = self._node.replicas
        self._rates = {
            group: _counted(self._rates.get(group), replica.applier, passed_ms / 1000, keep)
            for group, replica in replicas.items()
            if group != TOPOLOGY_GROUP
        }
        groups = (self._tell(group, replicas[group], rates) for group, rates in self._rates.items())
        return NodeReport(round(self._cpu, 4), self._is_full(), tuple(each for each in groups if each))

    def _tell(self, group: int, replica: Replica, rates: Rates) -> GroupReport | None:
        reads = round(rates.reads_per_s, 1)
        if replica.proposes:
            keyspace, configuration = replica.applier.keyspace, replica.raft.configuration
            return GroupReport(
                group,
                replica.raft.term,
                keyspace.key_count,
                keyspace.used_bytes,
                round(rates.writes_per_s, 1),
                reads,
                tuple(sorted({*configuration.voters, *configuration.outgoing})),
            )
        return GroupReport(group, 0, reads=reads) if reads else None

    def _is_full(self) -> bool:
        node = self._node
        limit = node.config.maxmemory * NEARLY_FULL
        held = sum(replica.applier.keyspace.used_bytes for replica in node.replicas.values()) if limit else 0
        return held > limit or not node.has_room(0)


def _counted(known: Rates | None, applier: Applier, passed_s: float, keep: float) -> Rates:
    writes, reads = applier.writes, applier.reads
    if known is None or known.applier is not applier:  # a new state counts from 0
        rates = (known.writes_per_s, known.reads_per_s) if known is not None else (0.0, 0.0)
        return Rates(applier, writes, reads, *rates)
    return Rates(
        applier,
        writes,
        reads,
        known.writes_per_s * keep + (writes - known.writes) / passed_s * (1 - keep),
        known.reads_per_s * keep + (reads - known.reads) / passed_s * (1 - keep),
    )
