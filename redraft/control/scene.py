"""A snapshot of facts, looked at from the sides that decisions ask for, and kept up to date by them.

Owns the counts (replicas and preferred leaders by node), who may receive, and what is being changed:
groups that move, groups with slots under way, and the nodes under those.  A decision is entered (`place`,
`occupy`) as soon as it is made, so the next one in the same plan sees it.  All nodes and groups are gone
through in the order of their ids, so that equal snapshots give equal plans.

Must not know what is wanted of a cluster: that is the business of the modules that use this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from redraft.control.facts import Facts, NodeFacts
from redraft.control.groups import may_forget_group
from redraft.control.slotmoves import GroupRecord, MoveRecord
from redraft.control.thresholds import Thresholds


class Scene:
    """The facts, indexed; built once for a plan in time proportional to the replicas there are."""

    def __init__(self, facts: Facts, thresholds: Thresholds) -> None:
        self.facts = facts
        self.thresholds = thresholds
        moves = facts.topology.moves
        self.groups = sorted(
            (record for record in facts.topology.groups if not may_forget_group(record, moves)),
            key=lambda record: record.group_id,
        )
        """Those that are not just about to go."""
        self.by_id = {record.group_id: record for record in self.groups}
        self.replication_factor = facts.topology.replication_factor
        self._sort_nodes()
        self._count()
        self._see_changes()

    def _sort_nodes(self) -> None:
        known, nodes = self.facts.nodes, self.facts.topology.nodes
        stay = sorted(node.node_id for node in nodes if not node.leaving)
        drained = {node.node_id for node in nodes if node.draining}
        present: list[NodeFacts] = [known[node] for node in stay if node in known]
        limit, busy = self.thresholds.dead_after_ms, self.thresholds.busy_cpu
        self.living = {node.node_id for node in known.values() if node.dead_ms <= 0}
        self.gone = {node.node_id for node in present if node.dead_ms >= limit}
        """Members that are taken to be dead for good."""
        self.draining = [node.node_id for node in present if node.node_id in drained]
        self.staying = [node.node_id for node in present if node.node_id not in self.gone | drained]
        """Those that replicas are spread over, though some may not answer just now."""
        self.able = {
            node.node_id
            for node in present
            if node.node_id not in drained and node.dead_ms <= 0 and not node.memory_full
        }
        """Those that may receive replicas, were it not for their load."""
        self.cool = {node.node_id for node in present if node.cpu < busy}
        loads = [node.cpu for node in present if node.dead_ms <= 0]
        self.mean_cpu = sum(loads) / len(loads) if loads else 0.0

    def _count(self) -> None:
        self.replicas: Counter[int] = Counter()
        self.leads: Counter[int] = Counter()
        self.hosted: dict[int, list[GroupRecord]] = {}
        """By node: the groups as they were when the plan was begun."""
        for record in self.groups:
            voters = record.voters
            self.leads[voters[0]] += 1
            for voter in voters:
                if voter in self.hosted:
                    self.hosted[voter].append(record)
                else:
                    self.hosted[voter] = [record]
        self.replicas.update({node: len(groups) for node, groups in self.hosted.items()})

    def _see_changes(self) -> None:
        self.moving = {record.group_id for record in self.groups if record.moving}
        self.moves_of: dict[int, list[MoveRecord]] = {}
        for move in self.facts.topology.moves:
            for group in (move.source, move.target):
                self.moves_of.setdefault(group, []).append(move)
        self.under_way = len(self.moving) + len(self.facts.topology.moves)
        """Risky changes that have begun, with those of this plan."""
        self.changing: set[int] = set(self.moving)
        """Groups that are being changed, with those of this plan."""
        self.busy: set[int] = set()
        """Nodes that have a part in what is being changed."""
        for group in sorted({*self.moving, *self.moves_of}):
            self.changing.add(group)
            if group in self.by_id:
                known = self.facts.groups.get(group)
                self.busy.update(self.by_id[group].voters, known.configuration if known is not None else ())

    # ---- questions ----

    @property
    def room(self) -> int:
        """How many more risky changes may be begun."""
        return self.thresholds.changes_at_once - self.under_way

    def sound(self, record: GroupRecord) -> bool:
        """Whether a group may be changed: nothing of it changes, it is led, all voters answer."""
        known = self.facts.groups.get(record.group_id)
        return (
            record.group_id not in self.changing
            and known is not None
            and known.leader != 0
            and self.living.issuperset(record.voters)
        )

    def free(self, record: GroupRecord) -> bool:
        """Whether a group is sound and none of its nodes has a part in another change."""
        return self.sound(record) and self.busy.isdisjoint(record.voters)

    def receivers(self) -> list[int]:
        """Nodes that may be given a replica to spread them, those with the fewest first."""
        ready = (self.able & self.cool) - self.busy
        return sorted(ready, key=lambda node: (self.replicas[node], node))

    def has_majority(self, voters: Sequence[int]) -> bool:
        """Whether more than half of these voters answer."""
        return 2 * self.alive(voters) > len(voters)

    def alive(self, voters: Iterable[int]) -> int:
        """How many of these voters answer."""
        return sum(voter in self.living for voter in voters)

    def fewest_leads(self, nodes: Iterable[int]) -> int:
        """Of these nodes the one to lead: one that lives and has room, and should lead the fewest groups."""
        return min(
            nodes, key=lambda node: (node not in self.able, node not in self.cool, self.leads[node], node)
        )

    def told(self, node: int) -> str:
        """How many replicas a node has, for people."""
        count = self.replicas[node]
        return f"{count} replica" if count == 1 else f"{count} replicas"

    # ---- what a decision changes ----

    def instead(self, record: GroupRecord, old: int, new: int) -> tuple[int, ...]:
        """A group's voters with `new` in the place of `old`; another leads where `old` should have led."""
        at = record.voters.index(old)
        voters = (*record.voters[:at], new, *record.voters[at + 1 :])
        return self.led_by(voters, self.fewest_leads(voters)) if at == 0 else voters

    @staticmethod
    def led_by(voters: tuple[int, ...], leader: int) -> tuple[int, ...]:
        """The same voters with another preferred leader."""
        return (leader, *(voter for voter in voters if voter != leader))

    def place(self, record: GroupRecord, voters: tuple[int, ...]) -> None:
        """Enter a placement into the counts; where its nodes change, the group and they are being changed."""
        assert voters, "a group stands somewhere"
        assert len(set(voters)) == len(voters), "a node has one replica of a group at most"
        self.replicas.subtract(record.voters)
        self.replicas.update(voters)
        self.leads[record.voters[0]] -= 1
        self.leads[voters[0]] += 1
        self.changing.add(record.group_id)
        if set(voters) != set(record.voters):
            self.occupy({*record.voters, *voters})

    def occupy(self, nodes: Iterable[int], *groups: int) -> None:
        """Enter a risky change that these nodes and groups have a part in."""
        self.under_way += 1
        self.busy.update(nodes)
        self.changing.update(groups)
