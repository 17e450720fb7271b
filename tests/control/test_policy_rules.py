"""The rules of the policy one by one: what comes first, what waits for what, what is left alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from redraft.control.facts import Facts, GroupFacts, NodeFacts
from redraft.control.groups import SplitGroup
from redraft.control.plan import Kind, Plan
from redraft.control.policy import make_plan
from redraft.control.slotmoves import CancelMove, MoveRecord, MoveSlots
from redraft.control.thresholds import Thresholds
from redraft.control.topology import Place, Topology
from tests.control.worlds import World, rotated, topology_of

MIB = float(1 << 20)
LIMITS = Thresholds()
DEAD_MS = LIMITS.dead_after_ms


def facts_of(
    topology: Topology,
    *,
    dead: dict[int, float] | None = None,
    draining: tuple[int, ...] = (),
    cpu: float = 0.1,
    sizes: dict[int, float] | None = None,
    moves: tuple[MoveRecord, ...] = (),
) -> Facts:
    """Facts of a cluster in which nothing else is remarkable."""
    away = dead or {}
    nodes = {
        node.node_id: NodeFacts(node.node_id, away.get(node.node_id, 0.0), cpu) for node in topology.nodes
    }
    groups = {
        group.group_id: GroupFacts(
            group.group_id,
            next((voter for voter in group.voters if voter not in away), 0),
            bytes=(sizes or {}).get(group.group_id, 0.0),
            configuration=group.voters,
        )
        for group in topology.groups
    }
    drained = tuple(replace(node, draining=node.node_id in draining) for node in topology.nodes)
    return Facts(replace(topology, nodes=drained, moves=moves), nodes, groups)


def plan_of(topology: Topology, limits: Thresholds = LIMITS, **remarkable: object) -> Plan:
    return make_plan(facts_of(topology, **remarkable), limits)  # type: ignore[arg-type]


def kinds(plan: Plan) -> set[Kind]:
    return {decision.kind for decision in plan.decisions}


def placed(plan: Plan) -> dict[int, tuple[int, ...]]:
    return {
        each.action.group_id: each.action.voters for each in plan.decisions if isinstance(each.action, Place)
    }


def test_nothing_is_done_where_nothing_is_the_matter() -> None:
    """An even cluster gets an empty plan, with nothing held back."""
    assert plan_of(topology_of(5, rotated(5, 10))) == Plan()


def test_restoring_goes_before_everything_else() -> None:
    """With a node dead, one drained and one empty: only the dead one's replicas, no more than are allowed."""
    topology = topology_of(7, rotated(7, 12, on=6))
    plan = plan_of(topology, dead={1: DEAD_MS}, draining=(2,))
    assert kinds(plan) == {Kind.RESTORE}
    assert len(plan.decisions) == LIMITS.restores_at_once
    assert plan.held
    for group, voters in placed(plan).items():
        assert set(voters) - set(topology.groups[group - 1].voters) == {7}
        assert 1 not in voters


def test_a_node_that_has_not_answered_for_less_than_dead_after_ms_is_waited_for() -> None:
    """A restart moves nothing; leaders are elsewhere by then anyway."""
    topology = topology_of(5, rotated(5, 10))
    assert not plan_of(topology, dead={3: DEAD_MS - 1}).decisions
    assert kinds(plan_of(topology, dead={3: DEAD_MS})) == {Kind.RESTORE}


def test_groups_nearest_to_losing_their_majority_are_restored_first() -> None:
    """A group that has lost one of three comes before those that have lost one of five."""
    placements = [(1, 2, 3, 4, 5), (1, 4, 5, 6, 7), (1, 2, 3, 6, 7)]
    topology = topology_of(9, placements)
    plan = plan_of(topology, Thresholds(restores_at_once=1), dead={1: DEAD_MS, 4: DEAD_MS})
    assert set(placed(plan)) == {1}
    fewer = replace(topology.groups[2], voters=(1, 2, 3))
    topology = replace(topology, groups=(topology.groups[0], topology.groups[1], fewer))
    plan = plan_of(topology, Thresholds(restores_at_once=1), dead={1: DEAD_MS})
    assert set(placed(plan)) == {3}


def test_a_group_without_a_majority_is_left_alone() -> None:
    """What it has must not be given up; the others are restored."""
    topology = topology_of(5, [(1, 2, 3), (1, 3, 4), (3, 4, 5)])
    plan = plan_of(topology, dead={1: DEAD_MS, 2: DEAD_MS})
    assert set(placed(plan)) == {2}


def test_without_a_node_to_take_it_a_replica_stays_where_it_is() -> None:
    """Three nodes and three replicas: the dead one may come back, and somebody is told."""
    plan = plan_of(topology_of(3, rotated(3, 4)), dead={2: DEAD_MS})
    assert not plan.decisions
    assert "no other node" in plan.held[0]


def test_a_dead_node_that_comes_back_is_filled_again() -> None:
    """Its replicas went elsewhere meanwhile; it gets as many as others have, in as many moves."""
    world = World(topology_of(5, rotated(5, 10)), Thresholds(dead_after_ms=5000))
    world.strict = False
    world.died_ms[2] = world.now_ms
    world.run(100)
    assert 2 not in world.counts()
    restored = world.replica_moves
    assert restored == 6
    del world.died_ms[2]
    world.run(100)
    assert world.counts()[2] == 6
    assert world.replica_moves == restored + 6
    assert world.leads()[2] == 2


def test_a_node_that_comes_back_while_its_replicas_are_made_anew_keeps_the_rest() -> None:
    """What has begun arrives; what has not is left where it is."""
    world = World(topology_of(5, rotated(5, 10)), Thresholds(dead_after_ms=5000, restores_at_once=1))
    world.died_ms[2] = world.now_ms
    while not world.replica_moves:
        world.step()
    del world.died_ms[2]
    world.strict = False
    plan = world.step()
    assert not plan.decisions
    assert plan.held
    world.run(50)
    assert world.replica_moves == 2
    assert world.counts()[2] == 6


def test_a_node_that_is_drained_loses_replicas_one_by_one_and_is_given_none() -> None:
    """One risky change at a time; in the end it is empty and the others are even."""
    topology = topology_of(5, rotated(5, 10))
    plan = plan_of(topology, draining=(3,))
    assert kinds(plan) == {Kind.DRAIN}
    assert len(plan.decisions) == 1
    world = World(topology)
    world.draining = {3}
    world.run(200)
    assert 3 not in world.counts()
    assert world.replica_moves == 6


def test_where_no_other_node_may_have_its_replicas_a_drained_node_gives_up_leading() -> None:
    """Three nodes and three replicas: it holds them on, leads none, and somebody is told."""
    world = World(topology_of(3, rotated(3, 6)))
    world.draining = {1}
    world.run(50)
    assert world.leads()[1] == 0
    assert world.replica_moves == 0
    assert any("stay on node 1" in reason for reason in world.plan().held)


def test_a_risky_change_under_way_holds_the_next() -> None:
    """A move of slots has begun: replicas are spread once it has ended."""
    topology = topology_of(6, rotated(6, 10, on=5))
    move = MoveRecord(7, ((0, 99),), 1, 2)
    plan = plan_of(topology, moves=(move,))
    assert not plan.decisions
    assert "under way: 1" in plan.held[0]
    several = Thresholds(changes_at_once=8)
    for group, voters in placed(plan_of(topology, several, moves=(move,))).items():
        assert group not in (1, 2)
        assert not {1, 2, 3, 4} & {*voters, *topology.groups[group - 1].voters}


def test_a_move_of_slots_is_given_up_to_restore_its_group() -> None:
    """A group has one change at a time, and the replica that is missing comes first."""
    topology = topology_of(5, [(1, 2, 3), (3, 4, 5)])
    move = MoveRecord(9, ((0, 9),), 1, 2)
    plan = plan_of(topology, dead={1: DEAD_MS}, moves=(move,))
    assert [each.action for each in plan.decisions] == [CancelMove(9)]
    given_up = replace(move, cancelled=True)
    assert not plan_of(topology, dead={1: DEAD_MS}, moves=(given_up,)).decisions
    accepted = replace(move, accepted=True)
    assert not plan_of(topology, dead={1: DEAD_MS}, moves=(accepted,)).decisions


def test_under_load_only_what_is_missing_is_restored() -> None:
    """Spreading would cost what the clients need."""
    topology = topology_of(6, rotated(6, 10, on=5))
    assert kinds(plan_of(topology)) == {Kind.REPLICAS}
    busy = plan_of(topology, cpu=0.9)
    assert not busy.decisions
    assert "90%" in busy.held[0]
    assert kinds(plan_of(topology, cpu=0.9, dead={1: DEAD_MS})) == {Kind.RESTORE}


@pytest.mark.parametrize("kind", [Kind.RESTORE, Kind.REPLICAS, Kind.SLOTS])
def test_a_kind_that_is_switched_off_is_not_decided(kind: Kind) -> None:
    """And does not stand in the way of the others."""
    limits = Thresholds(switched_off=frozenset({kind}))
    topology = topology_of(6, rotated(6, 10, on=5))
    sizes = {group.group_id: 4096 * MIB if group.group_id == 1 else MIB for group in topology.groups}
    plan = plan_of(topology, limits, dead={1: DEAD_MS} if kind is Kind.RESTORE else None, sizes=sizes)
    assert kind not in kinds(plan)
    assert plan.decisions


def test_a_group_with_much_gives_slots_to_one_with_little() -> None:
    """Down to the mean, in moves that take no more than one may."""
    topology = topology_of(4, rotated(4, 4))
    sizes = {1: 3000 * MIB, 2: 200 * MIB, 3: 200 * MIB, 4: 200 * MIB}
    (decision,) = plan_of(topology, sizes=sizes).decisions
    assert isinstance(decision.action, MoveSlots)
    assert (decision.action.source, decision.kind) == (1, Kind.SLOTS)
    assert sum(last - first + 1 for first, last in decision.action.slots) <= LIMITS.slots_per_move_max
    assert "times the mean" in decision.reason


def test_nodes_and_groups_without_facts_are_left_alone() -> None:
    """What is not known is no reason: no replica goes to such a node, none of such a group moves."""
    topology = topology_of(6, rotated(6, 10, on=5))
    known = facts_of(topology)
    without_node = Facts(
        known.topology, {key: each for key, each in known.nodes.items() if key != 6}, known.groups
    )
    assert not make_plan(without_node, LIMITS).decisions
    without_groups = Facts(known.topology, known.nodes, {})
    assert not make_plan(without_groups, LIMITS).decisions


def test_equal_facts_give_equal_plans() -> None:
    """To the last tie, whatever order the facts come in."""
    topology = topology_of(6, rotated(6, 10, on=5))
    facts = facts_of(topology, draining=(2,))
    turned = Facts(
        replace(facts.topology, groups=topology.groups[::-1]),
        dict(reversed(facts.nodes.items())),
        dict(reversed(facts.groups.items())),
    )
    assert make_plan(facts, LIMITS) == make_plan(turned, LIMITS)


def test_thresholds_that_would_move_things_to_and_fro_are_refused() -> None:
    """With a sentence that says why."""
    with pytest.raises(ValueError, match="fill must lie between 1 and surplus"):
        Thresholds(fill=1.6)
    with pytest.raises(ValueError, match="switch it off"):
        Thresholds(changes_at_once=0)
    with pytest.raises(ValueError, match="to and fro"):
        Thresholds(replicas_apart=1)


def test_a_node_that_leads_none_gets_half_of_the_largest_group() -> None:
    """If there are fewer groups than nodes, and half is worth a move."""
    topology = topology_of(4, rotated(4, 3))
    sizes = {1: 200 * MIB, 2: 210 * MIB, 3: 190 * MIB}
    (decision,) = plan_of(topology, sizes=sizes).decisions
    assert decision.kind is Kind.SPLIT
    assert isinstance(decision.action, SplitGroup)
    assert decision.action.group_id == 2
    assert decision.action.voters[0] == 4
    assert "should lead none" in decision.reason
    small = dict.fromkeys(sizes, 2 * LIMITS.least_bytes - 1)
    assert not plan_of(topology, sizes=small).decisions
    assert not plan_of(topology_of(4, rotated(4, 4)), sizes=sizes | {4: 200 * MIB}).decisions


def test_a_node_that_can_not_lead_is_no_reason_to_split() -> None:
    """One that is drained, or does not answer, or is busy."""
    topology = topology_of(4, rotated(3, 3))
    sizes = dict.fromkeys((1, 2, 3), 200 * MIB)
    assert not plan_of(topology, sizes=sizes, draining=(4,)).decisions
    assert not plan_of(topology, sizes=sizes, dead={4: 1000.0}).decisions
    assert not plan_of(topology, sizes=sizes, cpu=0.9).decisions


def test_a_group_that_is_about_to_go_is_left_alone() -> None:
    """It is neither filled nor restored, and counts for nothing."""
    topology = topology_of(3, rotated(3, 3), [((0, 5999),), ((6000, 16383),), ()])
    going = tuple(
        replace(group, voters=group.voters[:2], dropping=True) if group.group_id == 3 else group
        for group in topology.groups
    )
    sizes = {1: 500 * MIB, 2: 500 * MIB}
    assert plan_of(topology, sizes=sizes).decisions
    assert not [
        each
        for each in plan_of(replace(topology, groups=going), sizes=sizes).decisions
        if each.kind is not Kind.SPLIT
    ]
