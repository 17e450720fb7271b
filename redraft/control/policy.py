"""What the controller does next: a pure function from a snapshot of facts to a plan.

One kind of thing is done at a time, the first of these that finds something to do:

    restore    replicas of nodes that are gone; nothing else is begun while some wait for it
    drain      replicas off the nodes that are to be empty
    replicas   evenly over the nodes
    leaders    evenly over the nodes, once no replica or slot is under way
    slots      from groups with much to groups with little
    split      groups that are too large for one leader, onto nodes with few groups, or with none

Risky changes (of a group's nodes, of slots, a split) are never begun where another is under way on the same
group or node, and no more of them than `changes_at_once`; only restoring asks for less (`restoring`).  While
the nodes are under load nothing is begun but restoring.  Equal facts give equal plans, to the last tie.

A plan is small and soon out of date.  Whoever carries it out makes the next one from new facts; a
decision that got lost, or was refused, is simply found again.

Must not know: clocks, who gathers facts, how an action is carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from redraft.control.facts import Facts
from redraft.control.plan import Found, Kind, Plan
from redraft.control.restoring import restore
from redraft.control.scene import Scene
from redraft.control.splitting import split
from redraft.control.spreading import drain, spread_leaders, spread_replicas
from redraft.control.thresholds import Thresholds
from redraft.control.weighing import move_slots


def make_plan(facts: Facts, thresholds: Thresholds) -> Plan:
    """What to do now; costs time proportional to the replicas there are."""
    scene = Scene(facts, thresholds)
    held: list[str] = []
    for kind, look in _LOOKS:
        if kind in thresholds.switched_off:
            continue
        reason = "" if kind is Kind.RESTORE else _standstill(scene)
        if reason:
            held.append(reason)
            break
        found = look(scene)
        held += found.held
        if found.decisions or found.urgent:
            return Plan(tuple(found.decisions), tuple(held))
    return Plan((), tuple(held))


def _standstill(scene: Scene) -> str:
    """Why nothing but restoring may be begun, "" when it may."""
    if scene.room <= 0:
        return f"changes under way: {scene.under_way}; no other is begun."
    if scene.mean_cpu >= scene.thresholds.busy_cpu:
        return f"the nodes use {scene.mean_cpu:.0%} of their cores on average: nothing is done but restoring."
    return ""


_LOOKS: Final[tuple[tuple[Kind, Callable[[Scene], Found]], ...]] = (
    (Kind.RESTORE, restore),
    (Kind.DRAIN, drain),
    (Kind.REPLICAS, spread_replicas),
    (Kind.LEADERS, spread_leaders),
    (Kind.SLOTS, move_slots),
    (Kind.SPLIT, split),
)
