"""Replicas and preferred leaders: off the nodes that are drained, evenly over the others.

Spreading counts; it does not weigh.  That groups weigh about the same is the business of `weighing`.  A
replica goes from a node with more to one with fewer, at least `replicas_apart` apart, so each move brings the
numbers nearer to each other, whatever happens in between: nothing can go to and fro.  A node that has more
replicas than another has one that the other lacks, so a single move is always enough; for leaders it may
take a chain of groups from node to node (`_chain`), the shortest there is.

Must not know sizes or loads of groups, but to choose the cheapest of equals.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from redraft.control.plan import Decision, Found, Kind
from redraft.control.scene import Scene
from redraft.control.slotmoves import GroupRecord
from redraft.control.topology import Place

# ---- draining ----


def drain(scene: Scene) -> Found:
    """Replicas of nodes that are drained go to others; where there are no others, leadership at least."""
    decisions: list[Decision] = []
    held: list[str] = []
    for node in scene.draining:
        stuck = 0
        for record in sorted(scene.hosted.get(node, ()), key=lambda each: each.voters[0] != node):
            heir = _heir(scene, record) if scene.room > 0 and scene.free(record) else 0
            if heir:
                decisions.append(_drained(scene, record, node, heir))
            elif scene.able.issubset(record.voters):
                stuck += 1
                if len(decisions) < scene.thresholds.leader_changes_at_once:
                    decisions += _led_elsewhere(scene, record, node)
        if stuck:
            held.append(
                f"{stuck} replicas stay on node {node}, which is drained: no other node may have them."
            )
    return Found(decisions, held)


def _heir(scene: Scene, record: GroupRecord) -> int:
    """The node with the fewest replicas that may be given this one, 0 when there is none."""
    return next((node for node in scene.receivers() if node not in record.voters), 0)


def _drained(scene: Scene, record: GroupRecord, node: int, heir: int) -> Decision:
    left = scene.told(node)
    voters = scene.instead(record, node, heir)
    reason = (
        f"group {record.group_id}: node {node} is drained and has {left} left: node {heir} takes "
        f"this one (it has {scene.replicas[heir]})"
    )
    scene.place(record, voters)
    return Decision(Kind.DRAIN, Place(record.group_id, voters), reason)


def _led_elsewhere(scene: Scene, record: GroupRecord, node: int) -> list[Decision]:
    """Another voter leads, where there is one that is not drained as well."""
    others = scene.able.intersection(record.voters)
    if record.voters[0] != node or not others or not scene.sound(record):
        return []
    leader = scene.fewest_leads(others)
    voters = scene.led_by(record.voters, leader)
    scene.place(record, voters)
    reason = f"group {record.group_id}: node {node} is drained: node {leader} should lead"
    return [Decision(Kind.DRAIN, Place(record.group_id, voters), reason)]


# ---- replicas ----


class Transfer(NamedTuple):
    """A replica that could go to another node; the least of several is the best."""

    replicas: int
    """How many the receiver has."""
    leads: bool
    """The giver should lead the group, and does not lead too many."""
    bytes: float
    group_id: int
    receiver: int


def spread_replicas(scene: Scene) -> Found:
    """Replicas go from the nodes with the most to those with the fewest."""
    decisions: list[Decision] = []
    while scene.room > 0:
        found = _next_transfer(scene)
        if found is None:
            break
        giver, best = found
        record = scene.by_id[best.group_id]
        reason = (
            f"group {record.group_id}: node {giver} has {scene.told(giver)} and node "
            f"{best.receiver} has {best.replicas}: one goes over"
        )
        voters = scene.instead(record, giver, best.receiver)
        scene.place(record, voters)
        decisions.append(Decision(Kind.REPLICAS, Place(record.group_id, voters), reason))
    return Found(decisions)


def _next_transfer(scene: Scene) -> tuple[int, Transfer] | None:
    counts, apart = scene.replicas, scene.thresholds.replicas_apart
    living = [node for node in scene.staying if node in scene.living]
    givers, receivers = _sides(scene, living)
    for giver in sorted((node for node in givers if node not in scene.busy), key=lambda node: -counts[node]):
        within = [node for node in receivers if counts[giver] - counts[node] >= apart]
        if not within:
            return None
        best = _best_transfer(scene, giver, within)
        if best is not None:
            return giver, best
    return None


def _sides(scene: Scene, living: list[int]) -> tuple[list[int], list[int]]:
    """Who may give a replica, and who may get one, so that no more go over than must.

    In the end each node has the mean, rounded up or down.  Where more have to go than have to come, only
    those above it give; where more have to come, only those below it get.
    """
    counts = scene.replicas
    low, more = divmod(sum(counts[node] for node in scene.able), len(scene.able) or 1)
    high = low + (more > 0)
    over = sum(max(0, counts[node] - high) for node in living)
    lack = sum(max(0, low - counts[node]) for node in scene.able)
    gives = high if over >= lack else low
    gets = low if lack >= over else high
    givers = [node for node in living if counts[node] > gives]
    return givers, [node for node in scene.receivers() if counts[node] < gets]


def _best_transfer(scene: Scene, giver: int, receivers: list[int]) -> Transfer | None:
    best: Transfer | None = None
    for record in scene.hosted.get(giver, ()):
        receiver = next((node for node in receivers if node not in record.voters), 0)
        if not receiver or (best is not None and scene.replicas[receiver] > best.replicas):
            continue
        if scene.free(record):
            keeps = record.voters[0] == giver and scene.leads[giver] <= scene.leads[receiver] + 1
            size = scene.facts.groups[record.group_id].bytes
            this = Transfer(scene.replicas[receiver], keeps, size, record.group_id, receiver)
            best = this if best is None else min(best, this)
    return best


# ---- leaders ----


def spread_leaders(scene: Scene) -> Found:
    """Groups of nodes that should lead many are to be led by voters of theirs that should lead few.

    Not while something risky is under way: it may change who leads.
    """
    decisions: list[Decision] = []
    if scene.under_way:
        return Found()
    limit = scene.thresholds.leader_changes_at_once
    placed: dict[int, tuple[int, ...]] = {}
    while len(decisions) < limit:
        chain = _chain(scene)
        if not chain:
            break
        for record, leader in chain[-(limit - len(decisions)) :][::-1]:
            first = record.voters[0]
            reason = (
                f"group {record.group_id}: node {first} should lead {scene.leads[first]} groups and node "
                f"{leader} {scene.leads[leader]}: node {leader} should lead this one"
            )
            placed[record.group_id] = voters = scene.led_by(record.voters, leader)
            scene.place(record, voters)
            decisions.append(Decision(Kind.LEADERS, Place(record.group_id, voters), reason))
    return Found(decisions)


def _chain(scene: Scene) -> list[tuple[GroupRecord, int]]:
    """The shortest chain of groups, each with its new leader, from a node with many to one with few."""
    leads, apart = scene.leads, scene.thresholds.leaders_apart
    nodes = [node for node in scene.staying if node in scene.living]
    enders = sorted(scene.able & scene.cool, key=lambda node: (leads[node], node))
    if not enders:
        return []
    edges: dict[int, dict[int, GroupRecord]] | None = None
    for giver in sorted(nodes, key=lambda node: (-leads[node], node)):
        if leads[giver] - leads[enders[0]] < apart:
            break
        if edges is None:
            edges = _ways(scene)
        ends = {node for node in enders if leads[giver] - leads[node] >= apart}
        chain = _shortest(giver, ends, edges, leads)
        if chain:
            return chain
    return []


def _ways(scene: Scene) -> dict[int, dict[int, GroupRecord]]:
    """From whom to whom leadership could go, and by which group (the first of several)."""
    ways: dict[int, dict[int, GroupRecord]] = {}
    for record in scene.groups:
        if scene.sound(record):
            to = ways.setdefault(record.voters[0], {})
            for voter in record.voters[1:]:
                if voter not in to and voter in scene.able:
                    to[voter] = record
    return ways


def _shortest(
    giver: int, ends: set[int], ways: dict[int, dict[int, GroupRecord]], leads: dict[int, int]
) -> list[tuple[GroupRecord, int]]:
    came: dict[int, tuple[int, GroupRecord]] = {}
    waiting = deque([giver])
    while waiting:
        node = waiting.popleft()
        to = ways.get(node, {})
        for voter in sorted(to, key=lambda each: (leads[each], each)):
            if voter == giver or voter in came:
                continue
            came[voter] = (node, to[voter])
            if voter in ends:
                return _back(giver, voter, came)
            waiting.append(voter)
    return []


def _back(giver: int, end: int, came: dict[int, tuple[int, GroupRecord]]) -> list[tuple[GroupRecord, int]]:
    chain: list[tuple[GroupRecord, int]] = []
    while end != giver:
        node, record = came[end]
        chain.append((record, end))
        end = node
    return chain[::-1]
