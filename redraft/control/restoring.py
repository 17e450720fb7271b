"""Replicas that are missing are made anew: those of nodes that are gone, and where a group has too few.

The groups nearest to losing their majority come first, each one replica at a time.  A group without a
majority is left alone: nothing can be changed there, and what it has must not be given up.  Where there is no
node to take a replica the placement stays, as the old node may come back.

A group that moves is left to arrive, except where it is on its way to a node that is gone: it never would.
A move of slots that a group has a part in is given up first, as a group has one change at a time.
"""

from __future__ import annotations

from typing import NamedTuple

from redraft.control.plan import Decision, Found, Kind
from redraft.control.scene import Scene
from redraft.control.slotmoves import CancelMove, GroupRecord, MoveRecord
from redraft.control.topology import Place


class Loss(NamedTuple):
    """A group that lacks a replica; `gone` is the node that had it, 0 when there are too few."""

    spare: int
    """How many voters it can lose before it loses its majority."""
    record: GroupRecord
    gone: int


def restore(scene: Scene) -> Found:
    """What to do for groups that lack a replica, and what has to wait (nothing else is begun then)."""
    decisions: list[Decision] = []
    waiting = homeless = 0
    moving = len(scene.moving)
    for loss in _losses(scene):
        record = loss.record
        if scene.able.issubset(record.voters):
            homeless += loss.gone > 0
            continue
        moves = scene.moves_of.get(record.group_id, ())
        if moves:
            decisions += [_give_up(record, loss.gone, move) for move in moves if _may_give_up(move)]
        arriving = record.group_id in scene.moving
        if moves or (moving >= scene.thresholds.restores_at_once and not arriving):
            waiting += 1
            continue
        decisions.append(_restored(scene, loss, _heir(scene, record)))
        moving += not arriving
    held = [f"groups that lack a replica and wait for their turn: {waiting}."] if waiting else []
    if homeless:
        held.append(f"groups with a replica on a dead node, and no other node to take it: {homeless}.")
    return Found(list(dict.fromkeys(decisions)), held, urgent=waiting > 0)


def _losses(scene: Scene) -> list[Loss]:
    losses = []
    gone = scene.gone
    for record in scene.groups:
        voters = record.voters
        lost = 0 if gone.isdisjoint(voters) else next(voter for voter in voters if voter in gone)
        if not lost and len(voters) >= scene.replication_factor:
            continue
        present = voters
        if record.moving:
            known = scene.facts.groups.get(record.group_id)
            present = known.configuration if known is not None else ()
            lost = next((voter for voter in voters if voter in gone and voter not in present), 0)
            rest = [voter for voter in voters if voter != lost]
            if not lost or not present or 2 * (scene.alive(rest) + 1) <= len(voters):
                continue
        if scene.has_majority(present):
            losses.append(Loss(scene.alive(present) - len(present) // 2 - 1, record, lost))
    return sorted(losses, key=lambda loss: (loss.spare, loss.record.group_id))


def _heir(scene: Scene, record: GroupRecord) -> int:
    """Who takes the replica: the node with the fewest; one under load only where there is no other."""
    free = scene.able.difference(record.voters)
    return min(free, key=lambda node: (node not in scene.cool, scene.replicas[node], node))


def _restored(scene: Scene, loss: Loss, heir: int) -> Decision:
    record, gone = loss.record, loss.gone
    has = f"it has {scene.told(heir)}"
    if gone:
        voters = scene.instead(record, gone, heir)
        dead_s = scene.facts.nodes[gone].dead_ms / 1000
        reason = (
            f"group {record.group_id}: node {gone} has been dead for {dead_s:.0f} s: node {heir} takes over "
            f"its replica ({has})"
        )
    else:
        voters = (*record.voters, heir)
        reason = (
            f"group {record.group_id} has {len(record.voters)} of {scene.replication_factor} replicas: "
            f"node {heir} gets one ({has})"
        )
    assert scene.has_majority(voters), "a group must be able to go on where it is placed"
    scene.place(record, voters)
    return Decision(Kind.RESTORE, Place(record.group_id, voters, replacing=record.moving), reason)


def _may_give_up(move: MoveRecord) -> bool:
    return not move.cancelled and not move.accepted


def _give_up(record: GroupRecord, gone: int, move: MoveRecord) -> Decision:
    lacks = f"the replica of node {gone}" if gone else "a replica"
    reason = f"group {record.group_id} lacks {lacks}: move {move.move_id} of its slots is given up for that"
    return Decision(Kind.RESTORE, CancelMove(move.move_id), reason)
