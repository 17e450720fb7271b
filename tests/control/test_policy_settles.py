"""Generated clusters come to rest: in few steps, with few moves, and nothing is moved to and fro.

`World` checks every action on the way (what may be begun, what may never come back); here is what must hold
in the end, and how much may have been moved for it.  The lower bounds know nothing of the rules, so they are
what anybody would have to move.
"""

from __future__ import annotations

import random
import time

import pytest

from redraft.control.plan import Kind
from redraft.control.policy import make_plan
from redraft.control.thresholds import Thresholds
from redraft.topology.slots import SLOTS
from tests.control.worlds import (
    World,
    leader_bound,
    replica_bound,
    rotated,
    scattered,
    spread_of,
    topology_of,
)

pytestmark = pytest.mark.timeout(600)

MIB = float(1 << 20)
SEEDS = range(12)
EXTRA_LEADERS = 1.5
"""Leaders may need chains, and a group may be led by a few nodes only: the bound knows neither."""


def at_rest(world: World) -> None:
    """Nothing is planned any more, however often and however late one looks."""
    for _ in range(3):
        assert not world.step().decisions
    world.now_ms += 1e7
    assert not world.step().decisions


def thresholds(rng: random.Random) -> Thresholds:
    return Thresholds(changes_at_once=rng.choice((1, 3, 16)), restores_at_once=rng.choice((1, 4)))


@pytest.mark.parametrize("seed", SEEDS)
def test_replicas_and_leaders_end_at_most_one_apart_with_the_fewest_moves(seed: int) -> None:
    """From placements by chance: as many moves of replicas as anybody would need, hardly more of leaders."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes, groups = rng.randint(2, 30), rng.randint(1, 80)
    replicas = rng.randint(1, min(5, nodes))
    world = World(topology_of(nodes, scattered(rng, nodes, groups, replicas)), thresholds(rng))
    everybody = list(range(1, nodes + 1))
    bound = replica_bound(world.topology, everybody)
    world.run(4 * bound + groups + 20)
    assert spread_of(world.counts(), everybody) <= 1
    assert world.replica_moves == bound
    if groups >= 4 * nodes:
        assert spread_of(world.leads(), everybody) <= 1
    at_rest(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_leaders_end_at_most_one_apart_with_few_moves(seed: int) -> None:
    """All groups led by the lowest of their nodes, say: preferred leaders alone are changed, no replica."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes = rng.randint(3, 40)
    groups = rng.randint(2, 6) * nodes
    sorted_voters = [tuple(sorted(voters)) for voters in rotated(nodes, groups)]
    world = World(topology_of(nodes, sorted_voters))
    bound = leader_bound(world.topology, nodes)
    world.run(2 * bound + 20)
    assert world.replica_moves == 0
    assert world.leader_moves <= EXTRA_LEADERS * bound + 1
    assert spread_of(world.leads(), list(range(1, nodes + 1))) <= 1
    at_rest(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_new_nodes_are_filled_with_the_fewest_moves(seed: int) -> None:
    """Nodes that joined hold nothing; in the end they hold, and lead, as much as others."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    old, new = rng.randint(3, 12), rng.randint(1, 4)
    world = World(topology_of(old + new, rotated(old + new, 60, on=old)), thresholds(rng))
    everybody = list(range(1, old + new + 1))
    bound = replica_bound(world.topology, everybody)
    world.run(4 * bound + 100)
    assert world.replica_moves == bound
    assert spread_of(world.counts(), everybody) <= 1
    assert spread_of(world.leads(), everybody) <= 1
    at_rest(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_drained_nodes_are_emptied(seed: int) -> None:
    """Each of their replicas moves once, and the others stay even."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes = rng.randint(6, 20)
    world = World(topology_of(nodes, rotated(nodes, rng.randint(nodes, 60))), thresholds(rng))
    world.draining = set(rng.sample(range(1, nodes + 1), rng.randint(1, nodes - 4)))
    rest = [node for node in range(1, nodes + 1) if node not in world.draining]
    bound = replica_bound(world.topology, rest)
    world.run(4 * bound + 100)
    assert not world.draining & set(world.counts())
    assert spread_of(world.counts(), rest) <= 1
    assert world.replica_moves <= bound * 1.2 + 1
    at_rest(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_nodes_replicas_are_made_anew_and_short_outages_are_waited_for(seed: int) -> None:
    """Nodes die and come back or do not: whole groups in the end, and no replica moved for a restart."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes = rng.randint(5, 16)
    world = World(topology_of(nodes, rotated(nodes, rng.randint(1, 4) * nodes)), thresholds(rng))
    world.thresholds = Thresholds(dead_after_ms=30_000, changes_at_once=world.thresholds.changes_at_once)
    short, long = rng.sample(range(1, nodes + 1), 2)
    world.died_ms[short] = world.now_ms
    for _ in range(20):
        assert not world.step().decisions
    del world.died_ms[short]
    assert not world.step().decisions
    world.died_ms[long] = world.now_ms
    held = world.counts()[long]
    for _ in range(30):
        assert not world.step().decisions
    world.run(300)
    rest = [node for node in range(1, nodes + 1) if node != long]
    assert long not in world.counts()
    assert all(len(group.voters) == 3 for group in world.topology.groups)
    assert spread_of(world.counts(), rest) <= 1
    assert held <= world.replica_moves <= held + 2
    assert {decision.kind for decision in world.log} <= {Kind.RESTORE, Kind.REPLICAS, Kind.LEADERS}
    at_rest(world)


def loads(rng: random.Random, skew: float) -> dict[int, list[float]]:
    """Bytes by slot, the low slots with up to `skew` times as much; the rest follows."""
    result = {}
    for slot in range(SLOTS):
        size = rng.uniform(0.5, 1.5) * (1 + (skew - 1) * (1 - slot / SLOTS) ** 3) * MIB
        result[slot] = [size, size / MIB, size / 1000]
    return result


@pytest.mark.parametrize("by_slot", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_slots_move_until_no_group_stands_out(seed: int, by_slot: bool) -> None:
    """No more bytes are moved than groups had above the mean, and each slot once at most."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes, groups = rng.randint(4, 12), rng.randint(4, 40)
    world = World(topology_of(nodes, rotated(nodes, groups)), Thresholds(split_bytes=1e18))
    world.told_by_slot = by_slot
    world.load(loads(rng, rng.uniform(3, 20)))
    mean = sum(load[0] for load in world.loads.values()) / groups
    surplus = sum(max(0.0, load[0] - mean) for load in world.loads.values())
    world.run(3000)
    world.check_slots()
    assert world.log, "there was something to do"
    sizes = [load[0] for load in world.loads.values()]
    limits = world.thresholds
    assert max(sizes) <= limits.surplus * mean * 1.02 + limits.least_bytes
    assert min(sizes) >= limits.deficit * mean * 0.98 - limits.least_bytes
    assert world.bytes_moved <= surplus * 1.1
    at_rest(world)


@pytest.mark.parametrize("seed", range(4))
def test_noise_within_the_thresholds_moves_nothing(seed: int) -> None:
    """Where nothing stands out, sizes and rates told 15 % wrong change nothing; nor do CPU loads."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    world = World(topology_of(6, rotated(6, 12)), Thresholds(split_bytes=1e18))
    world.load(loads(rng, 1.25))
    world.noise, world.noise_share = random.Random(seed), 0.15
    for _ in range(200):
        world.cpu = {node: rng.random() for node in range(1, 7)}
        assert not world.step().decisions


@pytest.mark.parametrize("seed", range(4))
def test_noise_on_the_way_brings_nothing_back(seed: int) -> None:
    """With figures 15 % wrong while slots move it comes to rest all the same, and no slot returns."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    world = World(topology_of(6, rotated(6, 12)), Thresholds(split_bytes=1e18, changes_at_once=2))
    world.load(loads(rng, 10))
    world.noise, world.noise_share = random.Random(seed), 0.15
    for _ in range(2500):
        world.step()
    done = len(world.log)
    for _ in range(300):
        world.step()
    assert len(world.log) == done
    world.check_slots()


@pytest.mark.parametrize("seed", range(4))
def test_large_and_hot_groups_are_split_until_none_is(seed: int) -> None:
    """On a cluster with room for more groups; every node leads few in the end."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes = rng.randint(6, 12)
    world = World(topology_of(nodes, rotated(nodes, 3)))
    world.thresholds = Thresholds(split_bytes=4096 * MIB, bytes_per_move_max=2048 * MIB, split_requests=8000)
    world.load(loads(rng, 3))
    world.run(4000)
    world.check_slots()
    groups = len(world.topology.groups)
    total = sum(load[0] for load in world.loads.values())
    assert max(load[0] for load in world.loads.values()) < 4096 * MIB
    assert groups <= 2.5 * total / (4096 * MIB) + 3
    assert max(world.leads().values()) <= world.thresholds.groups_led_max
    assert Kind.SPLIT in {decision.kind for decision in world.log}
    at_rest(world)


@pytest.mark.parametrize("seed", range(6))
def test_every_node_of_a_cluster_that_has_grown_leads(seed: int) -> None:
    """Groups are split until there are as many as nodes, and never more; then nothing moves any more."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    before, nodes = rng.randint(1, 4), rng.randint(5, 9)
    replicas = min(3, before)
    world = World(
        topology_of(nodes, rotated(nodes, before, replicas, on=before)), Thresholds(split_bytes=1e18)
    )
    world.load(loads(rng, 1.3))
    world.run(3000)
    world.check_slots()
    assert len(world.topology.groups) == nodes
    assert set(world.leads().values()) == {1}
    at_rest(world)
    world.died_ms[1] = world.now_ms
    world.run(3000)
    assert len(world.topology.groups) == nodes
    del world.died_ms[1]
    world.run(3000)
    assert len(world.topology.groups) == nodes
    at_rest(world)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_it_comes_to_rest_whole(seed: int) -> None:
    """Nodes die, come back, are drained, fill up and get busy while plans are carried out."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nodes, groups = rng.randint(4, 14), rng.randint(1, 40)
    limits = Thresholds(
        dead_after_ms=10_000, changes_at_once=rng.choice((1, 4)), restores_at_once=rng.choice((1, 4))
    )
    world = World(topology_of(nodes, scattered(rng, nodes, groups)), limits)
    world.strict = False
    world.load(loads(rng, 5))
    for _ in range(150):
        node = rng.randint(1, nodes)
        event = rng.random()
        if event < 0.10 and len(world.died_ms) < 2:
            world.died_ms.setdefault(node, world.now_ms)
        elif event < 0.30:
            world.died_ms.pop(rng.choice([*world.died_ms, 0]), None)
        elif event < 0.33:
            world.draining ^= {node}
        elif event < 0.36:
            world.full ^= {node}
        elif event < 0.42:
            world.cpu[node] = rng.random()
        world.step()
    world.died_ms, world.draining, world.full, world.cpu = {}, set(), set(), {}
    world.run(6000)
    world.check_slots()
    everybody = list(range(1, nodes + 1))
    assert spread_of(world.counts(), everybody) <= 1
    assert all(len(set(group.voters)) == 3 for group in world.topology.groups)
    at_rest(world)


NODES, GROUPS = 100, 10_000


def test_a_hundred_nodes_lose_one_and_ten_thousand_groups_are_whole_again() -> None:
    """Each of its 300 replicas is made anew once, and the nodes that are left end at most one apart."""
    world = World(topology_of(NODES, rotated(NODES, GROUPS)), Thresholds(restores_at_once=16))
    world.died_ms[42] = -world.thresholds.dead_after_ms
    facts = world.facts()
    began = time.process_time()
    plan = make_plan(facts, world.thresholds)
    spent = time.process_time() - began
    print(f"make_plan: {spent:.3f} s")
    assert spent < 1.0
    assert len(plan.decisions) == 16
    world.run(400)
    rest = [node for node in range(1, NODES + 1) if node != 42]
    assert world.replica_moves == 300
    assert 42 not in world.counts()
    assert spread_of(world.counts(), rest) <= 1
    assert spread_of(world.leads(), rest) <= 1


def test_a_hundred_nodes_one_is_drained_and_one_joins() -> None:
    """What leaves the one fills the other; hardly more is moved than the fewest that will do."""
    world = World(topology_of(NODES, rotated(NODES, 1000, on=NODES - 1)), Thresholds(changes_at_once=16))
    world.draining = {42}
    rest = [node for node in range(1, NODES + 1) if node != 42]
    bound = replica_bound(world.topology, rest)
    world.run(400)
    print(f"{world.replica_moves} moves of replicas, at least {bound}; {world.leader_moves} of leaders")
    assert 42 not in world.counts()
    assert spread_of(world.counts(), rest) <= 1
    assert spread_of(world.leads(), rest) <= 1
    assert world.replica_moves <= 1.2 * bound + 1


def test_a_hundred_nodes_and_ten_thousand_groups() -> None:
    """Even there a plan takes a fraction of a second, and what stands out is put right with few moves."""
    nodes, groups = NODES, GROUPS
    placements = rotated(nodes, groups)
    for number in range(40):  # node 7 has 40 replicas too many, node 60 lacks them
        at = next(
            at
            for at, voters in enumerate(placements)
            if 60 in voters and 7 not in voters and at > 100 * number
        )
        placements[at] = tuple(7 if node == 60 else node for node in placements[at])
    world = World(topology_of(nodes, placements), Thresholds(changes_at_once=16))
    everybody = list(range(1, nodes + 1))
    bound = replica_bound(world.topology, everybody)
    facts = world.facts()
    began = time.process_time()
    make_plan(facts, world.thresholds)
    spent = time.process_time() - began
    print(f"make_plan: {spent:.3f} s")
    assert spent < 1.0
    world.run(3 * bound + 30)
    assert world.replica_moves == bound == 40
    assert spread_of(world.counts(), everybody) <= 1
    assert spread_of(world.leads(), everybody) <= 1
