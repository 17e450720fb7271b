"""Groups that come and go, on real node logic: made, split, merged, dropped, while nodes are down or lead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redraft.accel.scan import key_slot
from redraft.base.errors import DirectoryError
from redraft.control.applier import reason_of
from redraft.control.groups import CreateGroup, DropGroup, ForgetGroup, MergeGroups, SplitGroup
from redraft.control.topology import Command, Place
from redraft.node.states import MemoryStates, States
from redraft.raft.log import LogView
from redraft.raft.types import HardState
from redraft.replica.apply import Applier
from redraft.snapshot.format import Header
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Group
from tests.node.bottle import Asked, Cluster

SEEDS = pytest.mark.parametrize("seed", range(1, 6))
WITHIN_MS = 60_000
KEYS = [b"k%d" % number for number in range(200)]


def begun(seed: int = 1, size: int = 3, groups: int = 1, **settings: object) -> Cluster:
    cluster = Cluster(size=size, groups=groups, seed=seed, settings=settings)
    cluster.elect()
    return cluster


def put(cluster: Cluster, command: Command, at: int = 1) -> int:
    reply = cluster.change(at, command)
    assert reason_of(reply) is None, reply
    return int(reply[1:-2])


def owner(cluster: Cluster, key: bytes, at: int = 1) -> int:
    return cluster.nodes[at].group_of_slot[key_slot(key)]


def write_all(cluster: Cluster, value: bytes = b"v", at: int = 1) -> None:
    for group in {owner(cluster, key, at) for key in KEYS}:
        commands = [[b"SET", key, value] for key in KEYS if owner(cluster, key, at) == group]
        replies = cluster.call(at, *commands, write=True, group=group)
        assert set(replies) == {b"+OK\r\n"}


def read_all(cluster: Cluster, at: int) -> set[bytes]:
    found: set[bytes] = set()
    for group in {owner(cluster, key, at) for key in KEYS}:
        commands = [[b"GET", key] for key in KEYS if owner(cluster, key, at) == group]
        found.update(cluster.call(at, *commands, write=False, group=group))
    return found


def known(cluster: Cluster) -> list[set[int]]:
    """The groups that each living node has lanes for."""
    return [set(node.lanes) - {0} for node in cluster.nodes.values()]


def comes_to(cluster: Cluster, *groups: int) -> None:
    """Wait until every node knows just these groups, nothing moves, and all are led."""

    def there() -> bool:
        moves = any(node.moves for node in cluster.nodes.values())
        ready = all(node.ready for node in cluster.nodes.values())
        return all(each == set(groups) for each in known(cluster)) and not moves and ready

    assert cluster.run(WITHIN_MS, until=there), known(cluster)


def gone_from(cluster: Cluster, group: int) -> Callable[[], bool]:
    return lambda: all(group not in each for each in known(cluster))


def stands(cluster: Cluster, group: int) -> set[int]:
    return {number for number, node in cluster.nodes.items() if group in node.replicas}


@SEEDS
def test_group_that_is_made_elects_a_leader_and_owns_nothing(seed: int) -> None:
    """On the nodes named, and nowhere else; the others have a lane to it."""
    print(f"seed {seed}")
    cluster = begun(seed, size=4)
    assert put(cluster, CreateGroup((2, 3)), at=4) == 2
    comes_to(cluster, 1, 2)
    assert stands(cluster, 2) == {2, 3}
    assert cluster.run(WITHIN_MS, until=lambda: cluster.leader(2) == 2), "the first voter leads"
    assert cluster.call(4, [b"SET", b"k", b"v"], write=True, group=2)[0].startswith(b"-TRYAGAIN")


@SEEDS
def test_split_and_merge_keep_all_keys(seed: int) -> None:
    """Half of the keys go to a new group and come back; the numbers of keys are right in between."""
    print(f"seed {seed}")
    cluster = begun(seed)
    write_all(cluster)
    put(cluster, SplitGroup(1))
    comes_to(cluster, 1, 2)
    counts = {
        group: cluster.nodes[cluster.leader(group)].replicas[group].applier.keyspace.key_count
        for group in (1, 2)
    }
    assert counts == {group: sum(owner(cluster, key) == group for key in KEYS) for group in (1, 2)}
    assert min(counts.values()) > 50
    for number in cluster.nodes:
        assert read_all(cluster, number) == {b"$1\r\nv\r\n"}
    write_all(cluster, b"w")
    put(cluster, MergeGroups(1, 2), at=2)
    comes_to(cluster, 2)
    for number in cluster.nodes:
        assert read_all(cluster, number) == {b"$1\r\nw\r\n"}
        assert 1 in cluster.memories[number].dropped
        log = cluster.disks[number].group(1)
        assert log.last_index < log.first_index
        assert cluster.nodes[number].replicas[2].applier.keyspace.key_count == len(KEYS)
    assert put(cluster, CreateGroup()) == 3


@SEEDS
@pytest.mark.parametrize("who", ["topology", "source"])
def test_split_goes_on_when_a_leader_crashes(seed: int, who: str) -> None:
    """At any moment; nothing is lost and nothing counted twice."""
    print(f"seed {seed}")
    cluster = begun(seed)
    write_all(cluster)
    asked: list[Asked] = []
    at = 1 + seed % 3
    put(cluster, SplitGroup(1), at)

    def busy() -> bool:
        if not asked or asked[-1].replies is not None:
            living = sorted(cluster.nodes)
            node = living[len(asked) % len(living)]
            group = cluster.nodes[node].group_of_slot[key_slot(b"n")]
            asked.append(cluster.ask(node, [b"INCR", b"n"], write=True, group=group))
        return False

    cluster.run(20 * (1 + cluster.rng.randint(0, 120)), until=busy)
    victim = cluster.leader(0 if who == "topology" else 1)
    cluster.crash(victim)
    asked = [each for each in asked if each.replies]  # the others may have been asked there
    cluster.run(3000, until=busy)
    cluster.start(victim)
    cluster.run(3000, until=busy)
    comes_to(cluster, 1, 2)
    assert cluster.run(WITHIN_MS, until=lambda: all(each.replies for each in asked))
    for number in cluster.nodes:
        assert read_all(cluster, number) == {b"$1\r\nv\r\n"}
    done = [int(each.replies[0][1:-2]) for each in asked if each.replies and each.replies[0][:1] == b":"]
    assert done == sorted(set(done)), "each was counted once, in order"


@SEEDS
def test_node_that_was_down_is_a_founder_when_it_comes_back(seed: int) -> None:
    """Whatever happened meanwhile: it begins where the log of the group began, and catches up."""
    print(f"seed {seed}")
    cluster = begun(seed)
    write_all(cluster)
    cluster.crash(3)
    put(cluster, SplitGroup(1))
    assert cluster.run(WITHIN_MS, until=lambda: all(not node.moves for node in cluster.nodes.values()))
    write_all(cluster, b"w")
    cluster.start(3)
    comes_to(cluster, 1, 2)
    assert stands(cluster, 2) == {1, 2, 3}
    cluster.crash(1)
    assert cluster.run(WITHIN_MS, until=lambda: cluster.nodes[3].ready and cluster.nodes[2].ready)
    assert read_all(cluster, 3) == {b"$1\r\nw\r\n"}


@SEEDS
def test_node_that_was_down_drops_what_is_gone(seed: int) -> None:
    """With its state and its log, once it hears of it."""
    print(f"seed {seed}")
    cluster = begun(seed)
    write_all(cluster)
    put(cluster, SplitGroup(1))
    comes_to(cluster, 1, 2)
    cluster.crash(2)
    put(cluster, MergeGroups(2, 1))
    comes_to(cluster, 1)
    cluster.start(2)
    assert set(cluster.nodes[2].lanes) == {0, 1, 2}
    comes_to(cluster, 1)
    assert 2 in cluster.memories[2].dropped
    assert cluster.disks[2].group(2).saved().entries == []
    assert read_all(cluster, 2) == {b"$1\r\nv\r\n"}


def test_drop_that_a_crash_cut_short_is_finished_at_the_start() -> None:
    """The mark and the topology were on disk, the log was not emptied yet."""
    cluster = begun()
    write_all(cluster)
    put(cluster, SplitGroup(1))
    comes_to(cluster, 1, 2)
    cluster.crash(2)
    put(cluster, MergeGroups(2, 1))
    comes_to(cluster, 1)
    cluster.memories[2].drop(2)
    cluster.memories[2].topology = cluster.memories[1].topology
    assert cluster.disks[2].group(2).entries
    cluster.start(2)
    assert not cluster.disks[2].group(2).entries
    comes_to(cluster, 1)


def test_leader_that_sends_a_snapshot_may_lose_its_group() -> None:
    """To a follower that was down, and has not heard yet that the group is to go."""
    cluster = begun(snapshot_log_bytes=1024, log_tail_bytes=0, log_bytes_max=1 << 20)
    put(cluster, CreateGroup((1, 2, 3)))
    comes_to(cluster, 1, 2)
    cluster.crash(3)
    leader = 1
    assert cluster.run(WITHIN_MS, until=lambda: cluster.leader(2) == leader)
    replica = cluster.nodes[leader].replicas[2]
    for number in range(200):
        cluster.call(leader, [b"SET", b"k%d" % number, b"v" * 100], write=True, group=2)
    assert cluster.run(WITHIN_MS, until=lambda: replica.raft.log.first_index > 10)
    put(cluster, DropGroup(2), at=leader)
    cluster.start(3)
    sending = cluster.nodes[leader].snapshots._sending
    assert cluster.catch(WITHIN_MS, lambda: not sending.idle)
    put(cluster, ForgetGroup(2), at=leader)
    assert cluster.run(WITHIN_MS, until=gone_from(cluster, 2))
    assert cluster.run(1000, until=lambda: sending.idle)


@pytest.mark.parametrize("gone", [1, 2])
def test_group_that_is_gone_is_never_founded_again(gone: int) -> None:
    """By nodes that have lost their copy of the topology, and hear of it from the beginning.

    Group 1 owned slots before its log began: a blank replica of it would serve what is elsewhere by now.
    """
    cluster = begun()
    write_all(cluster)
    put(cluster, SplitGroup(1))
    comes_to(cluster, 1, 2)
    stays = 3 - gone
    put(cluster, MergeGroups(gone, stays))
    comes_to(cluster, stays)
    for number in (1, 2, 3):
        cluster.crash(number)
        cluster.memories[number].topology = None
    for number in (1, 2, 3):
        cluster.start(number)
    hosted: list[int] = []

    def look() -> bool:
        hosted.extend(number for number, node in cluster.nodes.items() if gone in node.replicas)
        return all(each == {stays} for each in known(cluster))

    assert cluster.run(WITHIN_MS, until=look)
    assert not hosted
    comes_to(cluster, stays)
    assert read_all(cluster, 1) == {b"$1\r\nv\r\n"}


def test_founder_that_lost_its_replica_does_not_vote_as_one_again() -> None:
    """The group moved away from it: what it acknowledged there it has no more."""
    cluster = begun(size=4)
    write_all(cluster)
    put(cluster, SplitGroup(1, (), (1, 2, 3)))
    comes_to(cluster, 1, 2)
    put(cluster, Place(2, (1, 2, 4)))
    assert cluster.run(WITHIN_MS, until=lambda: stands(cluster, 2) == {1, 2, 4})
    cluster.crash(3)
    cluster.memories[3].topology = None
    cluster.start(3)
    cluster.run(5000)
    assert stands(cluster, 2) == {1, 2, 4}
    cluster.crash(1)
    cluster.crash(2)
    cluster.run(5000)
    assert not cluster.leader(2), "node 4 alone is no majority, and node 3 has no vote"
    cluster.start(1)
    comes = cluster.run(WITHIN_MS, until=lambda: all(node.ready for node in cluster.nodes.values()))
    assert comes
    assert read_all(cluster, 3) == {b"$1\r\nv\r\n"}


def test_founder_that_never_had_a_replica_has_its_vote() -> None:
    """It was away from the beginning, and the group needs it now."""
    cluster = begun(size=3)
    write_all(cluster)
    cluster.crash(3)
    put(cluster, SplitGroup(1, (), (1, 2, 3)))
    assert cluster.run(WITHIN_MS, until=lambda: all(not node.moves for node in cluster.nodes.values()))
    cluster.crash(2)
    cluster.start(3)
    assert cluster.run(WITHIN_MS, until=lambda: all(node.ready for node in cluster.nodes.values()))
    assert read_all(cluster, 3) == {b"$1\r\nv\r\n"}


def test_requests_to_a_group_that_goes_are_answered() -> None:
    """Those that were not sent as not executed, those that were as not known; none waits for ever."""
    cluster = begun(request_timeout_ms=60_000, leader_wait_ms=60_000)
    put(cluster, CreateGroup((1,)))
    comes_to(cluster, 1, 2)
    cluster.partition(2, 1)
    pending = cluster.ask(2, [b"SET", b"a", b"1"], write=True, group=2)
    reads = cluster.ask(2, [b"GET", b"a"], write=False, group=2)
    cluster.paused.add(1)
    sent = cluster.ask(3, [b"SET", b"a", b"1"], write=True, group=2)
    cluster.settle()
    lane = cluster.nodes[3].lanes[2]
    assert lane.origin.inflight, "it is on its way"
    cluster.paused.clear()
    cluster.links[3, 1].queue.clear()
    put(cluster, DropGroup(2), at=3)
    put(cluster, ForgetGroup(2), at=3)
    cluster.heal()
    assert cluster.run(WITHIN_MS, until=gone_from(cluster, 2))
    assert pending.replies is not None
    assert pending.replies[0].startswith(b"-TRYAGAIN")
    assert reads.replies is not None
    assert reads.replies[0].startswith(b"-TRYAGAIN")
    assert sent.replies is not None
    assert sent.replies[0].startswith(b"-TIMEOUT")
    late = cluster.ask(3, [b"SET", b"a", b"1"], write=True, group=2)
    assert late.replies is not None
    assert late.replies[0].startswith(b"-TRYAGAIN")


def test_dropped_group_stays_while_requests_may_be_on_their_way() -> None:
    """As long as a request may wait; a new leader of the topology counts from the beginning."""
    cluster = begun(request_timeout_ms=5000, leader_wait_ms=5000)
    number = put(cluster, CreateGroup())
    comes_to(cluster, 1, number)
    put(cluster, DropGroup(number))
    assert not cluster.run(9000, until=gone_from(cluster, number))
    cluster.crash(cluster.leader(0))
    assert not cluster.run(9000, until=gone_from(cluster, number))
    assert cluster.run(WITHIN_MS, until=gone_from(cluster, number))
    assert all(disk.group(number).hard_state != HardState() for disk in cluster.disks.values())


class Clumsy(MemoryStates):
    """States of an engine whose files can't be opened for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = 0

    def open(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        if group.group_id == 2 and self.fails:
            self.fails -= 1
            raise DirectoryError("The keys of group 2 can't be opened: too many open files.")
        return super().open(group, view)


def test_founder_that_could_not_open_its_state_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    """The group begins with those that could; the reason is told once."""
    clumsy = Clumsy()

    class Site(Cluster):
        def states(self, number: int, worker: Worker) -> States:
            return clumsy if number == 3 else super().states(number, worker)

    cluster = Site(size=3)
    cluster.elect()
    write_all(cluster)
    clumsy.fails = 20
    put(cluster, SplitGroup(1))
    comes_to(cluster, 1, 2)
    assert cluster.run(WITHIN_MS, until=lambda: stands(cluster, 2) == {1, 2, 3})
    assert caplog.text.count("too many open files") == 1
    assert read_all(cluster, 3) == {b"$1\r\nv\r\n"}
