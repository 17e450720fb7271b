"""Groups that are too large for one leader are split, onto nodes that lead few groups.

A split gives a load another core and other disks, so it needs nodes that have room for one more group; the
new group gets half of what made the old one too large.  Groups are compared first (`weighing`): where slots
can go to a group with little there is no need of a new one.

Where there are fewer groups than nodes that could lead one, a node that should lead none is given half of the
largest group, if that half is worth a move.  It never comes to more groups than nodes by that, and groups are
never merged, so it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redraft.control.choosing import BYTES, MEASURES, portion, slot_count, weight_of
from redraft.control.groups import SplitGroup
from redraft.control.plan import Decision, Found, Kind
from redraft.control.scene import Scene
from redraft.control.slotmoves import GroupRecord
from redraft.control.weighing import NO_CAP
from redraft.control.weights import shown, steady

REQUESTS: Final = MEASURES.index("requests")


def split(scene: Scene) -> Found:
    """Split the groups that are the most beyond what one leader should have, while nodes have few groups."""
    decisions: list[Decision] = []
    limits = scene.thresholds
    for ratio, record, measure in _beyond(
        scene, {BYTES: limits.split_bytes, REQUESTS: limits.split_requests}
    ):
        if _may_split(scene, record, len(decisions)):
            has = weight_of(scene.facts.groups[record.group_id])[measure]
            why = f"{shown(has, measure)}, {ratio:.2f} times the most for one"
            decisions += _split(scene, record, measure, _hosts(scene), why)
    return Found(decisions or _for_idle(scene))


def _for_idle(scene: Scene) -> list[Decision]:
    """Give half of the largest group to a node that leads none."""
    least = (scene.thresholds.least_bytes, scene.thresholds.least_requests, scene.thresholds.least_keys)
    voters = _hosts(scene)
    if not voters or scene.leads[voters[0]] or len(scene.groups) >= len(scene.able):
        return []
    for _ratio, record, measure in _beyond(scene, {at: 2 * worth for at, worth in enumerate(least)}):
        if _may_split(scene, record, 0):
            why = shown(weight_of(scene.facts.groups[record.group_id])[measure], measure)
            return _split(scene, record, measure, voters, why)
    return []


def _beyond(scene: Scene, bounds: Mapping[int, float]) -> list[tuple[float, GroupRecord, int]]:
    """(ratio, group, measure) for what is at a bound of a measure or beyond it, the most beyond it first."""
    found = [
        (weight_of(facts)[measure] / bound, record, measure)
        for record in scene.groups
        if (facts := scene.facts.groups.get(record.group_id)) is not None
        for measure, bound in bounds.items()
        if weight_of(facts)[measure] >= bound
    ]
    return sorted(found, key=lambda each: (-each[0], each[1].group_id, each[2]))


def _may_split(scene: Scene, record: GroupRecord, made: int) -> bool:
    room = scene.room > 0 and len(scene.groups) + made < scene.thresholds.groups_max
    return room and steady(scene, record) and slot_count(record.slots) > 1


def _split(
    scene: Scene, record: GroupRecord, measure: int, voters: tuple[int, ...], why: str
) -> list[Decision]:
    facts = scene.facts.groups[record.group_id]
    has = weight_of(facts)[measure]
    choice = portion(record.slots, facts, measure, has / 2, NO_CAP, scene.thresholds)
    if not voters or not choice.slots:
        return []
    led = scene.leads[voters[0]]
    reason = (
        f"group {record.group_id} has {why}: "
        f"{slot_count(choice.slots)} slots with {shown(choice.weight[measure], measure)} go to a new group "
        f"on node {voters[0]}, which should lead {f'{led} groups' if led else 'none'}"
    )
    scene.replicas.update(voters)
    scene.leads[voters[0]] += 1
    scene.occupy({*record.voters, *voters}, record.group_id)
    return [Decision(Kind.SPLIT, SplitGroup(record.group_id, choice.slots, voters), reason)]


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
