"""A cluster that carries out plans: groups settle and slots arrive after some steps; actions are checked.

Pure, from a seed.  What it holds against each action is what a plan promises: the topology does not refuse
it, one change to a group at a time, no two risky ones on a node, no more than allowed, no majority given up,
no replica or slot comes back to where it was, and leaders are more even after each plan.
"""

from __future__ import annotations

import random
from collections import Counter

from msgspec.structs import replace

from redraft.control.facts import Facts, GroupFacts, NodeFacts, RangeFacts
from redraft.control.groups import SplitGroup
from redraft.control.plan import Action, Decision, Kind, Plan
from redraft.control.policy import make_plan
from redraft.control.slotmoves import CancelMove, GroupRecord, MoveRecord, MoveSlots
from redraft.control.thresholds import Thresholds
from redraft.control.topology import (
    FORMAT,
    NodeRecord,
    Place,
    Refused,
    Settled,
    Topology,
    apply,
)
from redraft.topology.placement import place_replicas
from redraft.topology.slots import SLOTS, contiguous_ranges, ranges_of

Load = list[float]
"""Bytes, requests per second, keys."""
STEPS_OF_A_CHANGE = 2
STEP_MS = 1000.0


def topology_of(
    nodes: int, placements: list[tuple[int, ...]], slots: list[tuple[tuple[int, int], ...]] | None = None
) -> Topology:
    """A topology of any size with these placements, all settled."""
    ranges = slots or [(each,) for each in contiguous_ranges(len(placements))]
    return Topology(
        FORMAT,
        1,
        nodes + 1,
        max(map(len, placements)),
        tuple(NodeRecord(node, f"{node:040x}", "10.0.0.1", 7000 + node) for node in range(1, nodes + 1)),
        tuple(
            GroupRecord(group, owned, voters)
            for group, (owned, voters) in enumerate(zip(ranges, placements, strict=True), start=1)
        ),
    )


def rotated(nodes: int, groups: int, replicas: int = 3, on: int | None = None) -> list[tuple[int, ...]]:
    """Placements as at a founding, on the first `on` of the nodes."""
    members = range(1, (on or nodes) + 1)
    return [place_replicas(group, members, replicas) for group in range(1, groups + 1)]


def scattered(rng: random.Random, nodes: int, groups: int, replicas: int = 3) -> list[tuple[int, ...]]:
    """Placements by chance, some nodes likelier than others."""
    weights = [rng.random() ** 2 + 0.01 for _ in range(nodes)]
    placements = []
    for _ in range(groups):
        voters: list[int] = []
        while len(voters) < replicas:
            node = rng.choices(range(1, nodes + 1), weights)[0]
            if node not in voters:
                voters.append(node)
        placements.append(tuple(voters))
    return placements


def replica_bound(topology: Topology, targets: list[int]) -> int:
    """The fewest moves after which only `targets` have replicas, at most one apart."""
    counts = Counter(voter for group in topology.groups for voter in group.voters)
    low, more = divmod(sum(counts.values()), len(targets))
    ordered = sorted((counts[node] for node in targets), reverse=True)
    over = sum(max(0, count - low - (at < more)) for at, count in enumerate(ordered))
    return over + sum(count for node, count in counts.items() if node not in targets)


def leader_bound(topology: Topology, nodes: int) -> int:
    """The fewest groups that need another preferred leader, if any node could lead any group."""
    counts = Counter(group.voters[0] for group in topology.groups)
    low, more = divmod(len(topology.groups), nodes)
    ordered = sorted((counts[node] for node in range(1, nodes + 1)), reverse=True)
    return sum(max(0, count - low - (at < more)) for at, count in enumerate(ordered))


class World:
    """The cluster; `plan` looks at it, `step` carries a plan out and lets time pass."""

    def __init__(self, topology: Topology, thresholds: Thresholds | None = None) -> None:
        self.topology = topology
        self.thresholds = thresholds or Thresholds()
        self.now_ms = 0.0
        self.died_ms: dict[int, float] = {}
        self.draining: set[int] = set()
        self.cpu: dict[int, float] = {}
        self.full: set[int] = set()
        self.slot_load: dict[int, Load] = {}
        """By slot; what is not here holds nothing."""
        self.noise: random.Random | None = None
        self.noise_share = 0.0
        self.told_by_slot = False
        self.moves: dict[int, tuple[MoveRecord, float]] = {}
        self.loads: dict[int, Load] = {}
        self.configuration = {group.group_id: group.voters for group in topology.groups}
        self.placed_ms: dict[int, float] = {}
        self.changed_ms: dict[int, float] = {}
        self.next_move = 1
        self.log: list[Decision] = []
        self.replica_moves = self.leader_moves = 0
        self.bytes_moved = 0.0
        self.strict = True
        """Whether facts stay as they are, so that nothing may come back to where it was."""
        self.been: set[tuple[str, int, int]] = set()
        """What was somewhere and has gone from there."""

    def load(self, slots: dict[int, Load]) -> None:
        """Give slots what they hold and are asked for."""
        self.slot_load = slots
        self.weigh()

    def weigh(self) -> None:
        self.loads = {group.group_id: self._held(group.slots) for group in self.topology.groups}

    def _held(self, slots: tuple[tuple[int, int], ...]) -> Load:
        held = [0.0, 0.0, 0.0]
        if self.slot_load:
            for first, last in slots:
                for slot in range(first, last + 1):
                    for at, value in enumerate(self.slot_load.get(slot, ())):
                        held[at] += value
        return held

    # ---- facts ----

    def alive(self, node: int) -> bool:
        return node not in self.died_ms

    def facts(self) -> Facts:
        nodes = {
            node.node_id: NodeFacts(
                node.node_id,
                self.now_ms - self.died_ms[node.node_id] + 1 if node.node_id in self.died_ms else 0.0,
                self.cpu.get(node.node_id, 0.1),
                node.node_id in self.full,
            )
            for node in self.topology.nodes
        }
        groups = {group.group_id: self._told(group) for group in self.topology.groups}
        topology = replace(
            self.topology,
            nodes=tuple(
                replace(node, draining=node.node_id in self.draining) for node in self.topology.nodes
            ),
            moves=tuple(move for move, _due in self.moves.values()),
        )
        return Facts(topology, nodes, groups)

    def _told(self, group: GroupRecord) -> GroupFacts:
        held, requests, keys = self.loads.get(group.group_id, (0.0, 0.0, 0.0))
        voters = self.configuration[group.group_id]
        leader = next((node for node in group.voters if node in voters and self.alive(node)), 0)
        if self.noise is not None:
            requests *= self.noise.uniform(1 - self.noise_share, 1 + self.noise_share)
            held *= self.noise.uniform(1 - self.noise_share, 1 + self.noise_share)
        steady = self.now_ms - self.changed_ms.get(group.group_id, -1e9)
        ranges: tuple[RangeFacts, ...] = ()
        if self.told_by_slot:
            ranges = tuple(
                RangeFacts(slot, slot, load[2], load[0], load[1])
                for first, last in group.slots
                for slot in range(first, last + 1)
                if (load := self.slot_load.get(slot)) is not None
            )
        return GroupFacts(group.group_id, leader, keys, held, requests, steady, ranges, voters)

    # ---- carrying out ----

    def plan(self) -> Plan:
        facts = self.facts()
        return make_plan(facts, self.thresholds)

    def step(self) -> Plan:
        """Plan, carry the plan out, and let a step's time pass."""
        plan = self.plan()
        uneven = self._unevenness()
        for decision in plan.decisions:
            assert decision.reason
            assert "  " not in decision.reason
            self.log.append(decision)
            self._do(decision.kind, decision.action)
        if any(decision.kind is Kind.LEADERS for decision in plan.decisions):
            assert self._unevenness() < uneven, "leaders are more even after each plan, so it ends"
        self._pass_time()
        return plan

    def _unevenness(self) -> int:
        return sum(count * count for count in self.leads().values())

    def run(self, steps: int) -> int:
        """Step until there is nothing to do and nothing under way; returns the steps it took."""
        rested = False
        for number in range(steps):
            idle = not self.under_way() and not self.step().decisions
            if idle and rested:
                return number
            if idle:
                self.now_ms += 2 * self.thresholds.steady_after_ms
            elif self.under_way():
                self.step()
            rested = idle
        raise AssertionError(f"not at rest after {steps} steps: {self.log[-3:]}")

    def under_way(self) -> int:
        return sum(group.moving for group in self.topology.groups) + len(self.moves)

    def _busy(self) -> set[int]:
        groups = {group.group_id for group in self.topology.groups if group.moving}
        for move, _due in self.moves.values():
            groups.update((move.source, move.target))
        return {
            voter
            for group in self.topology.groups
            if group.group_id in groups
            for voter in (*group.voters, *self.configuration[group.group_id])
        }

    def _changing(self, group: int) -> bool:
        record = self.topology.group(group)
        assert record is not None
        return record.moving or any(group in (move.source, move.target) for move, _due in self.moves.values())

    def _do(self, kind: Kind, action: Action) -> None:
        assert kind not in self.thresholds.switched_off
        match action:
            case Place():
                self._place(kind, action)
            case MoveSlots():
                self._begin_risky({action.source, action.target}, set())
                self._move(action.slots, action.source, action.target)
            case SplitGroup():
                self._split(action)
            case CancelMove():
                del self.moves[action.move_id]

    def _begin_risky(self, groups: set[int], nodes: set[int]) -> None:
        assert self.under_way() < self.thresholds.changes_at_once, "too much at once"
        touched = set(nodes)
        for group in groups:
            assert not self._changing(group), "one change of a group at a time"
            record = self.topology.group(group)
            assert record is not None
            assert all(map(self.alive, record.voters)), "only whole groups are changed"
            touched.update(record.voters)
        assert touched.isdisjoint(self._busy()), "two risky changes on a node"

    def _place(self, kind: Kind, action: Place) -> None:
        before = self.topology.group(action.group_id)
        assert before is not None
        risky = set(before.voters) != set(action.voters)
        if risky and kind is Kind.RESTORE:
            moving = sum(group.moving for group in self.topology.groups)
            assert moving < self.thresholds.restores_at_once + action.replacing
            assert not self._changing(action.group_id) or action.replacing
            assert len(set(before.voters) - set(action.voters)) <= 1, "one replica at a time"
            assert len(action.voters) >= len(before.voters)
            for voters in (self.configuration[action.group_id], action.voters):
                assert 2 * sum(map(self.alive, voters)) > len(voters), "a majority given up"
        elif risky:
            self._begin_risky({action.group_id}, set(action.voters))
            assert len(action.voters) == len(before.voters)
        for node in set(action.voters) - set(before.voters):
            assert self.alive(node), "nothing is placed on a node that does not answer"
            assert node not in self.draining, "nor on one that is drained"
        after, answer = apply(self.topology, action, self.topology.epoch + 1)
        assert not isinstance(answer, Refused), answer
        assert after is not self.topology, "a plan that changes nothing"
        self.topology = after
        self._note_placement(before, action.voters)

    def _note_placement(self, before: GroupRecord, voters: tuple[int, ...]) -> None:
        group = before.group_id
        if set(voters) != set(before.voters):
            self.placed_ms[group] = self.now_ms
            self.replica_moves += len(set(voters) - set(before.voters))
            for node in set(before.voters) - set(voters):
                self.been.add(("replica", group, node))
            for node in set(voters) - set(before.voters):
                back = ("replica", group, node) in self.been
                assert not (back and self.strict), "a replica is moved back"
        elif voters[0] != before.voters[0]:
            self.leader_moves += 1

    def _move(self, slots: tuple[tuple[int, int], ...], source: int, target: int) -> None:
        record = self.topology.group(source)
        assert record is not None
        owned = {slot for first, last in record.slots for slot in range(first, last + 1)}
        moved = [slot for first, last in slots for slot in range(first, last + 1)]
        assert moved, "a move of nothing"
        assert owned > set(moved), "a group keeps a slot"
        assert len(moved) <= self.thresholds.slots_per_move_max
        for slot in moved:
            self.been.add(("slot", slot, source))
            back = ("slot", slot, target) in self.been
            assert not (back and self.strict), "a slot is moved back"
        self.bytes_moved += self._held(slots)[0]
        self.moves[self.next_move] = (MoveRecord(self.next_move, slots, source, target), self._due())
        self.next_move += 1

    def _split(self, action: SplitGroup) -> None:
        self._begin_risky({action.group_id}, set(action.voters))
        new = GroupRecord(len(self.topology.groups) + 1, (), action.voters)
        assert new.group_id <= self.thresholds.groups_max
        assert len(set(action.voters)) == len(action.voters)
        self.topology = replace(self.topology, groups=(*self.topology.groups, new))
        self.configuration[new.group_id] = action.voters
        self.loads[new.group_id] = [0.0, 0.0, 0.0]
        self._move(action.slots, action.group_id, new.group_id)

    def _due(self) -> float:
        return self.now_ms + STEPS_OF_A_CHANGE * STEP_MS

    def _pass_time(self) -> None:
        self.now_ms += STEP_MS
        for group in self.topology.groups:
            due = self.placed_ms.get(group.group_id, 0.0) + STEPS_OF_A_CHANGE * STEP_MS
            if group.moving and self.now_ms >= due and self._can_arrive(group):
                self.configuration[group.group_id] = group.voters
                self.topology, _epoch = apply(
                    self.topology, Settled(group.group_id, group.placed), self.topology.epoch + 1
                )
        for move_id, (move, due) in list(self.moves.items()):
            if self.now_ms >= due:
                del self.moves[move_id]
                self._arrive(move)

    def _can_arrive(self, group: GroupRecord) -> bool:
        now = self.configuration[group.group_id]
        news = set(group.voters) - set(now)
        return (
            all(map(self.alive, news))
            and 2 * sum(map(self.alive, now)) > len(now)
            and 2 * sum(map(self.alive, group.voters)) > len(group.voters)
        )

    def _arrive(self, move: MoveRecord) -> None:
        going = {slot for first, last in move.slots for slot in range(first, last + 1)}
        held = self._held(move.slots)
        groups = []
        for group in self.topology.groups:
            slots = {slot for first, last in group.slots for slot in range(first, last + 1)}
            if group.group_id == move.source:
                groups.append(replace(group, slots=tuple(ranges_of(slots - going))))
            elif group.group_id == move.target:
                groups.append(replace(group, slots=tuple(ranges_of(slots | going))))
            else:
                groups.append(group)
        self.topology = replace(self.topology, groups=tuple(groups))
        for group_id, sign in ((move.source, -1), (move.target, 1)):
            self.changed_ms[group_id] = self.now_ms
            self.loads[group_id] = [
                has + sign * came for has, came in zip(self.loads[group_id], held, strict=True)
            ]

    # ---- what should hold in the end ----

    def counts(self) -> Counter[int]:
        return Counter(voter for group in self.topology.groups for voter in group.voters)

    def leads(self) -> Counter[int]:
        return Counter(group.voters[0] for group in self.topology.groups)

    def check_slots(self) -> None:
        """Every slot has one owner still."""
        owned = [
            slot
            for group in self.topology.groups
            for first, last in group.slots
            for slot in range(first, last + 1)
        ]
        assert sorted(owned) == list(range(SLOTS))


def spread_of(counts: Counter[int], nodes: list[int]) -> int:
    """How far the most and the fewest of these nodes are apart."""
    return max(counts[node] for node in nodes) - min(counts[node] for node in nodes)
