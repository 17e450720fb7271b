"""The controller on real nodes: dead nodes' replicas made anew, drained nodes emptied, new ones filled."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from redraft.accel.scan import key_slot
from redraft.base.config import Config
from redraft.control.facts import Facts
from redraft.control.thresholds import Thresholds
from redraft.control.topology import TOPOLOGY_GROUP, Drain, Remove, Topology
from redraft.node.controller import thresholds_of
from redraft.topology.slots import SLOTS
from tests.node.bottle import Cluster

DEAD_MS = 3000
ON: dict[str, Any] = {"controller": True, "controller_dead_node_ms": DEAD_MS}


def cluster_of(size: int, groups: int, **settings: object) -> Cluster:
    """A cluster under the controller, with its leaders elected."""
    cluster = Cluster(size, groups, settings=ON | settings)
    cluster.elect()
    return cluster


def topology_of(cluster: Cluster) -> Topology:
    """The topology as the leader of its group has it."""
    return cluster.nodes[cluster.leader(TOPOLOGY_GROUP)].steering.roster.topology


def counts(cluster: Cluster) -> Counter[int]:
    """Replicas by node, as they are placed."""
    return Counter(voter for group in topology_of(cluster).groups for voter in group.voters)


def settled(cluster: Cluster) -> bool:
    """Whether a leader knows of nothing that moves, and would do nothing."""
    leader = cluster.leader(TOPOLOGY_GROUP)
    if not leader:
        return False
    status = cluster.nodes[leader].controller.status()
    known = status["decides"] and len(status["groups"]) == cluster.groups
    moving = any(group.moving for group in topology_of(cluster).groups)
    return known and not moving and not status["plan"]


def come_to_rest(cluster: Cluster) -> None:
    """Let time pass until the controller has nothing more to do."""
    assert cluster.run(120_000, until=lambda: settled(cluster)), "it does not come to rest"


def led_as_placed(cluster: Cluster) -> bool:
    """Whether each group is led by the first of its voters."""
    return all(cluster.leader(each.group_id) == each.voters[0] for each in topology_of(cluster).groups)


def decisions(cluster: Cluster) -> list[dict[str, Any]]:
    """Those of all nodes that are there, in order of time."""
    told = [each for node in cluster.nodes.values() for each in node.controller.status()["decisions"]]
    return sorted(told, key=lambda each: each["wall_ms"])


def facts_of(cluster: Cluster) -> Facts:
    """What the leader of the topology group knows."""
    node = cluster.nodes[cluster.leader(TOPOLOGY_GROUP)]
    return node.controller._gathering.facts(cluster.now)


def test_a_dead_nodes_replicas_are_made_anew_with_what_they_held() -> None:
    """Five nodes, one dies for good: each group has three replicas again, on living nodes, with its keys."""
    cluster = cluster_of(5, 3)
    come_to_rest(cluster)
    for group in (1, 2, 3):
        cluster.call(1, [b"SET", b"{%d}" % group, b"v"], write=True, group=group)
    leader = cluster.leader(TOPOLOGY_GROUP)
    victim = next(node for node in (3, 4, 2, 5, 1) if node != leader and counts(cluster)[node])
    before = len(decisions(cluster))
    cluster.crash(victim)
    cluster.run(DEAD_MS - 1000)
    assert counts(cluster)[victim], "not before it has been dead for long enough"
    cluster.run(2000)
    come_to_rest(cluster)
    assert victim not in counts(cluster)
    for record in topology_of(cluster).groups:
        assert len(record.voters) == 3
        for voter in record.voters:
            replica = cluster.nodes[voter].replicas[record.group_id]
            assert set(replica.raft.configuration.voters) == set(record.voters)
            assert replica.applier.keyspace.key_count == 1
    made = decisions(cluster)[before:]
    assert {each["kind"] for each in made} <= {"restore", "replicas", "leaders"}
    assert f"node {victim} has been dead for" in made[0]["reason"]
    assert {each["outcome"] for each in made} == {"done"}


def test_a_dead_leader_of_the_topology_group_is_replaced_by_another_that_decides() -> None:
    """It counts how long the node is dead from when it began to watch."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    victim = cluster.leader(TOPOLOGY_GROUP)
    cluster.crash(victim)
    come_to_rest(cluster)
    cluster.run(DEAD_MS + 2000)
    come_to_rest(cluster)
    assert victim not in counts(cluster)
    assert all(len(record.voters) == 3 for record in topology_of(cluster).groups)


def test_a_restart_moves_nothing() -> None:
    """A node that is back before it is taken to be gone keeps all it has."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    before = topology_of(cluster).groups
    victim = next(node for node in cluster.nodes if node != cluster.leader(TOPOLOGY_GROUP))
    cluster.crash(victim)
    cluster.run(DEAD_MS - 1000)
    cluster.start(victim)
    cluster.run(3 * DEAD_MS)
    assert [set(group.voters) for group in topology_of(cluster).groups] == [
        set(group.voters) for group in before
    ]


def test_a_node_that_comes_back_after_its_replicas_were_made_anew_is_given_others() -> None:
    """What is left of its old ones is dropped; in the end all nodes hold as many."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    victim = next(node for node in cluster.nodes if node != cluster.leader(TOPOLOGY_GROUP))
    cluster.crash(victim)
    cluster.run(DEAD_MS + 2000)
    come_to_rest(cluster)
    assert victim not in counts(cluster)
    cluster.start(victim)
    cluster.run(3000)
    come_to_rest(cluster)
    assert set(counts(cluster).values()) == {3}
    assert cluster.run(30_000, until=lambda: len(cluster.nodes[victim].replicas) == 4)


def test_a_process_that_was_suspended_takes_nobody_for_dead() -> None:
    """All stood still for a minute, so nobody has seen anybody silent for so long."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    before = topology_of(cluster).groups
    cluster.now += 60_000
    cluster.elect()
    assert all(facts.dead_ms < DEAD_MS for facts in facts_of(cluster).nodes.values())
    cluster.run(5000)
    assert [set(group.voters) for group in topology_of(cluster).groups] == [
        set(group.voters) for group in before
    ]


def test_a_drained_node_loses_all_it_has_and_can_be_removed_at_once() -> None:
    """First it leads nothing, then it holds nothing; taking it out waits for nothing any more."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    node = next(node for node in cluster.nodes if node != cluster.leader(TOPOLOGY_GROUP))
    cluster.change(cluster.leader(TOPOLOGY_GROUP), Drain(node, draining=True))
    come_to_rest(cluster)
    assert node not in counts(cluster)
    assert cluster.run(10_000, until=lambda: list(cluster.nodes[node].replicas) == [TOPOLOGY_GROUP])
    asked = next(number for number in cluster.nodes if number != node)
    cluster.change(asked, Remove(node))
    assert cluster.run(1000, until=lambda: topology_of(cluster).was_removed(node))


def test_a_node_that_joins_gets_its_share() -> None:
    """Replicas and leaders, one after another."""
    cluster = cluster_of(3, 4)
    come_to_rest(cluster)
    new = cluster.join(1)
    cluster.run(3000)
    come_to_rest(cluster)
    assert set(counts(cluster).values()) == {3}
    leads = Counter(group.voters[0] for group in topology_of(cluster).groups)
    assert leads[new] == 1
    assert cluster.run(10_000, until=lambda: led_as_placed(cluster))


@pytest.mark.parametrize("off", [{"controller": False}, {"controller_off": ("restore",)}])
def test_what_is_switched_off_is_not_done_but_shown(off: dict[str, Any]) -> None:
    """Switched on again at run time it is done."""
    cluster = cluster_of(5, 5, **off)
    cluster.run(3000)
    victim = next(node for node in cluster.nodes if node != cluster.leader(TOPOLOGY_GROUP))
    cluster.crash(victim)
    cluster.run(DEAD_MS + 5000)
    assert counts(cluster)[victim] == 3
    node = cluster.nodes[cluster.leader(TOPOLOGY_GROUP)]
    status = node.controller.status()
    assert bool(status["plan"]) is ("controller" in off)
    for each in cluster.nodes.values():
        each.reconfigure(each.config.changed(controller="yes", controller_off=""))
    cluster.run(2000)
    come_to_rest(cluster)
    assert victim not in counts(cluster)


def test_facts_are_what_the_nodes_have() -> None:
    """Keys, bytes, rates, CPU, leaders and configurations, as of a report a second ago at most."""
    cluster = cluster_of(3, 2)
    cluster.clocks[2].busy = 0.5
    for number in range(40):
        cluster.call(1, [b"SET", b"{%d}" % number, b"v" * 100], write=True, group=1)
        cluster.call(3, [b"GET", b"{%d}" % number], write=False, group=1)
        cluster.run(1000)
    facts = facts_of(cluster)
    assert set(facts.nodes) == {1, 2, 3}
    assert facts.nodes[2].cpu == pytest.approx(0.5, abs=0.1)
    assert facts.nodes[1].cpu == 0.0
    group = facts.groups[1]
    assert group.leader == cluster.leader(1)
    assert group.keys == 40
    assert group.bytes == cluster.nodes[group.leader].replicas[1].applier.keyspace.used_bytes
    assert group.requests == pytest.approx(2.0, rel=0.25)
    assert sorted(group.configuration) == [1, 2, 3]
    assert group.steady_ms >= 39_000
    assert facts.groups[2].requests == 0.0


def test_what_was_not_reported_lately_is_not_known() -> None:
    """A node that answers, but says nothing of its load, is left alone; a silent one is dead."""
    cluster = cluster_of(5, 5)
    come_to_rest(cluster)
    cluster.run(5000)  # until the first of the voters leads the topology group
    other = 5
    assert cluster.leader(TOPOLOGY_GROUP) != other
    cluster.nodes[other].controller._reported_ms = float("inf")
    cluster.run(7000)
    facts = facts_of(cluster)
    assert other not in facts.nodes
    assert all(group.leader != other for group in facts.groups.values())
    cluster.crash(other)
    cluster.run(1000)
    assert facts_of(cluster).nodes[other].dead_ms > 500


def test_groups_are_split_onto_nodes_that_lead_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes join a cluster of three groups: in the end all five lead, and every key is there once."""

    def sooner(config: Config) -> Thresholds:
        return replace(
            thresholds_of(config), least_keys=100.0, steady_after_ms=2000.0, slots_per_move_max=SLOTS
        )

    monkeypatch.setattr("redraft.node.controller.thresholds_of", sooner)
    cluster = cluster_of(3, 3)
    keys = [b"key:%d" % number for number in range(1500)]
    for group in (1, 2, 3):
        owned = [key for key in keys if cluster.nodes[1].group_of_slot[key_slot(key)] == group]
        replies = cluster.call(1, *([b"SET", key, b"v"] for key in owned), write=True, group=group)
        assert set(replies) == {b"+OK\r\n"}
    cluster.join(1)
    cluster.join(1)

    def spread() -> bool:
        return {cluster.leader(each.group_id) for each in topology_of(cluster).groups} == {1, 2, 3, 4, 5}

    assert cluster.run(300_000, until=lambda: bool(cluster.leader(TOPOLOGY_GROUP)) and spread())
    assert cluster.run(60_000, until=lambda: not topology_of(cluster).moves)
    assert len(topology_of(cluster).groups) == 5
    led = [cluster.nodes[cluster.leader(number)].replicas[number] for number in range(1, 6)]
    assert sum(replica.applier.keyspace.key_count for replica in led) == len(keys)
    assert all(replica.applier.keyspace.key_count for replica in led)
    assert [each["kind"] for each in decisions(cluster)].count("split") == 2
