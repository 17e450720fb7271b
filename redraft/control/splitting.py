"""Groups that are too large for one leader are split, onto nodes that lead few groups.

A split gives a load another core and other disks, so it needs nodes that have room for one more group; the
new group gets half of what made the old one too large.  Groups are compared first (`weighing`): where slots
can go to a group with little there is no need of a new one.
"""

from __future__ import annotations

from redraft.control.choosing import BYTES, MEASURES, portion, slot_count, weight_of
from redraft.control.plan import Decision, Found, Kind, Split
from redraft.control.scene import Scene
from redraft.control.slotmoves import GroupRecord
from redraft.control.weighing import NO_CAP
from redraft.control.weights import shown, steady


def split(scene: Scene) -> Found:
    """Split the groups that are the most beyond what one leader should have, while nodes have few groups."""
    decisions: list[Decision] = []
    limits = scene.thresholds
    bounds = ((BYTES, limits.split_bytes), (MEASURES.index("requests"), limits.split_requests))
    large = sorted(
        (-weight_of(facts)[measure] / bound, record.group_id, measure)
        for record in scene.groups
        if (facts := scene.facts.groups.get(record.group_id)) is not None
        for measure, bound in bounds
        if weight_of(facts)[measure] >= bound
    )
    for ratio, group, measure in large:
        if scene.room <= 0 or len(scene.groups) + len(decisions) >= limits.groups_max:
            break
        record = scene.by_id[group]
        if steady(scene, record) and slot_count(record.slots) > 1:
            decisions += _split(scene, record, measure, -ratio)
    return Found(decisions)


def _split(scene: Scene, record: GroupRecord, measure: int, ratio: float) -> list[Decision]:
    voters = _hosts(scene)
    facts = scene.facts.groups[record.group_id]
    has = weight_of(facts)[measure]
    choice = portion(record.slots, facts, measure, has / 2, NO_CAP, scene.thresholds)
    if not voters or not choice.slots:
        return []
    reason = (
        f"group {record.group_id} has {shown(has, measure)}, {ratio:.2f} times the most for one: "
        f"{slot_count(choice.slots)} slots with {shown(choice.weight[measure], measure)} go to a new group "
        f"on node {voters[0]}, which should lead {scene.leads[voters[0]]} groups"
    )
    scene.replicas.update(voters)
    scene.leads[voters[0]] += 1
    scene.occupy({*record.voters, *voters}, record.group_id)
    return [Decision(Kind.SPLIT, Split(record.group_id, choice.slots, voters), reason)]


def _hosts(scene: Scene) -> tuple[int, ...]:
    """Where a new group could stand, the leader first; () when too few nodes have few groups."""
    limits, wanted = scene.thresholds, min(scene.replication_factor, len(scene.staying))
    ready = scene.able - scene.busy
    leaders = [node for node in ready & scene.cool if scene.leads[node] < limits.groups_led_max]
    most = limits.groups_led_max * wanted
    others = [node for node in ready if scene.replicas[node] < most]
    if not leaders:
        return ()
    leader = min(leaders, key=lambda node: (scene.leads[node], scene.replicas[node], node))
    followers = sorted(
        (node for node in others if node != leader),
        key=lambda node: (node not in scene.cool, scene.replicas[node], node),
    )
    voters = (leader, *followers[: wanted - 1])
    return voters if len(voters) == wanted else ()
