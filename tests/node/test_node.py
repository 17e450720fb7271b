"""The node's logic in a bottle: writes, reads, fail-over, exactly once, expiry."""

from __future__ import annotations

import pytest

from redraft.transport.messages import ForwardPart
from tests.node.bottle import Asked, Cluster

SEEDS = range(1, 6)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_node_answers_writes_and_reads_on_every_node(size: int) -> None:
    """Any node takes any command: the leader, a follower, one without a replica (5 nodes, 3 replicas)."""
    cluster = Cluster(size=size)
    cluster.elect()
    for number in cluster.nodes:
        key = b"key%d" % number
        assert cluster.call(number, [b"SET", key, b"v"], write=True) == [b"+OK\r\n"]
        for reader in cluster.nodes:
            assert cluster.call(reader, [b"GET", key], write=False) == [b"$1\r\nv\r\n"]


def test_node_read_rides_between_writes() -> None:
    """In one pipeline a GET sees the SET before it and not the one behind it."""
    cluster = Cluster()
    cluster.elect()
    replies = cluster.call(1, [b"SET", b"a", b"1"], [b"GET", b"a"], [b"SET", b"a", b"2"], write=True)
    assert replies == [b"+OK\r\n", b"$1\r\n1\r\n", b"+OK\r\n"]


@pytest.mark.parametrize("seed", SEEDS)
def test_node_counts_once_through_a_crash_of_the_leader(seed: int) -> None:
    """INCRs from every node while leaders die: none is lost, none applied twice."""
    print("seed", seed)
    cluster = Cluster(size=3, seed=seed)
    cluster.elect()
    asked: list[Asked] = []
    for _round in range(12):
        leader = cluster.leader()
        asked += [
            cluster.ask(number, [b"INCR", b"n"], write=True) for number in cluster.nodes if number != leader
        ]
        if _round % 4 == 1:
            cluster.nodes[cluster.rng.choice(sorted(cluster.nodes))].flush()
        if _round % 4 == 2:
            cluster.crash(leader)
            cluster.run(3000, until=lambda: cluster.leader() != 0)
            cluster.start(leader)
        cluster.run(100)
    crashed = sum(1 for request in asked if request.replies is None)
    cluster.run(10_000, until=lambda: sum(1 for r in asked if r.replies is None) == crashed == 0)
    answered = [request.replies for request in asked if request.replies]
    values = sorted(int(reply[0][1:]) for reply in answered if reply[0].startswith(b":"))
    assert len(values) == len(set(values)), "two INCRs got one value"
    total = cluster.call(1, [b"GET", b"n"], write=False)[0]
    unknown = len(asked) - len(values)
    assert len(values) <= int(total.split(b"\r\n")[1]) <= len(values) + unknown


@pytest.mark.parametrize("seed", SEEDS)
def test_node_client_of_a_living_node_sees_no_error_when_the_leader_dies(seed: int) -> None:
    """A forwarded write waits for the next leader and is answered, not refused."""
    print("seed", seed)
    cluster = Cluster(seed=seed)
    cluster.elect()
    leader = cluster.leader()
    other = next(number for number in cluster.nodes if number != leader)
    request = cluster.ask(other, [b"INCR", b"n"], write=True)
    cluster.nodes[other].flush()
    cluster.crash(leader)
    assert cluster.run(4000, until=lambda: request.replies is not None)
    assert request.replies == [b":1\r\n"]


def test_node_repeats_a_part_whose_reply_was_lost() -> None:
    """The link breaks after the leader applied and before the reply came: the retry gets the first answer."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    other = next(number for number in cluster.nodes if number != leader)
    cluster.call(other, [b"INCR", b"n"], write=True)
    request = cluster.ask(other, [b"INCR", b"n"], write=True)
    cluster.nodes[other].flush()
    link = cluster.links[other, leader]
    while link.queue:
        cluster.nodes[leader].on_frame(other, *link.queue.popleft())
    cluster.partition(leader, other)
    cluster.run(60)
    cluster.heal()
    assert cluster.run(3000, until=lambda: request.replies is not None)
    assert request.replies == [b":2\r\n"]
    assert cluster.call(leader, [b"GET", b"n"], write=False) == [b"$1\r\n2\r\n"]


@pytest.mark.parametrize("seed", SEEDS)
def test_node_paused_leader_serves_no_stale_read(seed: int) -> None:
    """A leader stopped for long answers reads only after it has learnt what happened meanwhile."""
    print("seed", seed)
    cluster = Cluster(seed=seed)
    cluster.elect()
    leader = cluster.leader()
    assert cluster.call(leader, [b"SET", b"a", b"old"], write=True) == [b"+OK\r\n"]
    cluster.paused.add(leader)
    other = next(number for number in cluster.nodes if number != leader)
    assert cluster.run(5000, until=lambda: cluster.leader() not in (0, leader))
    assert cluster.call(other, [b"SET", b"a", b"new"], write=True) == [b"+OK\r\n"]
    read = cluster.ask(leader, [b"GET", b"a"], write=False)
    cluster.paused.discard(leader)
    assert cluster.run(5000, until=lambda: read.replies is not None)
    assert read.replies == [b"$3\r\nnew\r\n"]


def test_node_minority_says_not_executed_or_unknown() -> None:
    """Cut off from the others: a read and an unsent write are refused as safe to retry."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    for other in cluster.nodes:
        if other != leader:
            cluster.partition(leader, other)
    write = cluster.ask(leader, [b"SET", b"a", b"1"], write=True)
    cluster.run(3000)
    late = cluster.ask(leader, [b"SET", b"a", b"2"], write=True)
    read = cluster.ask(leader, [b"GET", b"a"], write=False)
    cluster.run(8000)
    assert write.replies is not None
    assert write.replies[0].startswith(b"-TIMEOUT")
    assert late.replies is not None
    assert late.replies[0].startswith(b"-CLUSTERDOWN")
    assert read.replies is not None
    assert read.replies[0].startswith(b"-CLUSTERDOWN")


@pytest.mark.parametrize("reader", [1, 2, 3])
def test_node_expired_key_is_gone_for_good_on_every_node(reader: int) -> None:
    """A read past the deadline waits for the entry that removes the key, at leaders and followers."""
    cluster = Cluster()
    cluster.elect()
    cluster.call(1, [b"SET", b"a", b"1", b"PX", b"300"], write=True)
    assert cluster.call(reader, [b"GET", b"a"], write=False) == [b"$1\r\n1\r\n"]
    cluster.run(290)
    assert cluster.call(reader, [b"GET", b"a"], write=False) in ([b"$-1\r\n"], [b"$1\r\n1\r\n"])
    cluster.run(60)
    assert cluster.call(reader, [b"GET", b"a"], write=False) == [b"$-1\r\n"]
    cluster.run(1000)
    assert all(node.replicas[1].applier.keyspace.key_count == 0 for node in cluster.nodes.values())


def test_node_spreads_leaders_over_living_nodes() -> None:
    """Each of three nodes leads one of three groups, also after one was gone and came back."""
    cluster = Cluster(groups=3)
    cluster.elect()

    def led() -> list[int]:
        return sorted(cluster.leader(group) for group in (1, 2, 3))

    assert cluster.run(15_000, until=lambda: led() == [1, 2, 3])
    cluster.crash(2)
    cluster.run(5000)
    assert set(led()) == {1, 3}
    cluster.start(2)
    assert cluster.run(15_000, until=lambda: led() == [1, 2, 3])


@pytest.mark.parametrize("idle_ms", [0, 200, 600, 1500])
def test_node_does_not_wait_for_ever_for_an_heir_that_fell_silent(idle_ms: int) -> None:
    """Its log was whole when its network broke, and in an idle group it stays so.

    The leader may try to hand over to it once: each try stops the group for an election time-out.
    """
    cluster = Cluster(groups=3, settings={"election_timeout_ms": 500})
    cluster.elect()
    assert cluster.run(15_000, until=lambda: cluster.leader(3) == 3)
    cluster.nodes[3].transfer(cluster.map.groups[2], 2)
    assert cluster.run(200, until=lambda: cluster.leader(3) == 2)
    cluster.run(30)
    for other in (1, 2):
        cluster.silence(3, other)
    cluster.run(idle_ms)
    for number in range(1, 21):
        assert cluster.call(2, [b"INCR", b"n"], write=True, group=3, within_ms=600) == [b":%d\r\n" % number]
        cluster.run(100)


def test_node_takes_proposals_again_when_its_heir_is_gone() -> None:
    """The link to the target of a hand-over breaks: the leader goes on at once."""
    cluster = Cluster(groups=3)
    cluster.elect()
    assert cluster.run(15_000, until=lambda: cluster.leader(1) == 1)
    cluster.silence(1, 2)
    cluster.nodes[1].transfer(cluster.map.groups[0], 2)
    cluster.disconnect(1, 2)
    assert cluster.call(1, [b"INCR", b"n"], write=True, within_ms=50) == [b":1\r\n"]


def test_node_graceful_stop_hands_over_in_milliseconds() -> None:
    """Before a node stops another leads; nobody waits for an election time-out."""
    cluster = Cluster()
    cluster.elect()
    cluster.run(2000)
    leader = cluster.leader()
    before = cluster.now
    assert cluster.run(400, until=lambda: cluster.nodes[leader].hand_over())
    assert cluster.now - before <= 100
    assert cluster.leader() != leader


def test_node_over_its_memory_limit_refuses_growth_on_every_replica() -> None:
    """-OOM rides in the entry: no replica applies what another refused, deletions go on."""
    cluster = Cluster(settings={"maxmemory": 20_000})
    cluster.elect()
    cluster.call(1, [b"SET", b"big", b"x" * 30_000], write=True)
    cluster.run(300)
    refused = cluster.call(2, [b"SET", b"a", b"1"], [b"DEL", b"big"], write=True)
    assert refused[0].startswith(b"-OOM")
    assert refused[1] == b":1\r\n"
    cluster.run(300)
    assert cluster.call(3, [b"SET", b"a", b"1"], write=True) == [b"+OK\r\n"]


def test_node_with_a_full_disk_refuses_writes_and_serves_reads() -> None:
    """-MISCONF for what was never logged; reads go on."""
    cluster = Cluster(size=1)
    cluster.elect()
    cluster.call(1, [b"SET", b"a", b"1"], write=True)
    cluster.disks[1].full = True
    assert cluster.call(1, [b"SET", b"a", b"2"], write=True)[0].startswith(b"-MISCONF")
    assert cluster.call(1, [b"GET", b"a"], write=False) == [b"$1\r\n1\r\n"]


def test_node_with_a_full_disk_has_its_reads_answered_by_the_leader() -> None:
    """It takes no more of the log, so its own state would never come to the read index."""
    cluster = Cluster(settings={"inflight_appends_max": 2})
    cluster.elect()
    leader = cluster.leader()
    full = next(number for number in cluster.nodes if number != leader)
    cluster.disks[full].full = cluster.disks[full].stuck = True
    for number in range(20):
        cluster.ask(leader, [b"SET", b"a", b"%d" % number], write=True)
        cluster.run(40)
    assert cluster.nodes[full].replicas[1].applier.applied_index < 20
    assert cluster.call(full, [b"GET", b"a"], write=False, within_ms=200) == [b"$2\r\n19\r\n"]


@pytest.mark.parametrize("asked_at", ["leader", "follower"])
def test_node_with_a_full_disk_lets_another_lead_before_it_refuses(asked_at: str) -> None:
    """Clients see a short wait; -MISCONF only when nobody has room."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    other = next(number for number in cluster.nodes if number != leader)
    asked = leader if asked_at == "leader" else other
    for number in (leader, *cluster.nodes):
        cluster.disks[number].full = True
        cluster.run(200)
        expected = b"+OK" if number == leader else b"-MISCONF"
        if number == leader or all(disk.full for disk in cluster.disks.values()):
            reply = cluster.call(asked, [b"SET", b"a", b"1"], write=True, within_ms=6000)[0]
            assert reply.startswith(expected)
    assert cluster.leader() != leader


def test_node_with_a_clock_far_off_the_median_does_not_keep_the_lead() -> None:
    """Its entries would be stamped by a clock that nobody shares: another voter leads instead."""
    cluster = Cluster()
    cluster.elect()
    cluster.run(4000)
    assert cluster.leader() == 1, "the preferred leader leads"
    cluster.clocks[1].offset_ms = 60_000
    assert cluster.run(10_000, until=lambda: cluster.leader() not in (0, 1))
    cluster.clocks[1].offset_ms = 0
    assert cluster.run(15_000, until=lambda: cluster.leader() == 1)


@pytest.mark.parametrize("asked", [1, 2])
def test_node_asks_for_room_before_anything_is_sent(asked: int) -> None:
    """What was refused with -MISCONF is in nobody's log, and does not come to light later."""
    cluster = Cluster()
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    for disk in cluster.disks.values():
        disk.full = True
    cluster.run(500)
    assert cluster.call(asked, [b"SET", b"a", b"1"], write=True)[0].startswith(b"-MISCONF")
    for disk in cluster.disks.values():
        assert not any(b"SET" in entry.data for entry in disk.group(1).entries)
        disk.full = False
    cluster.run(3000)
    assert cluster.call(3, [b"GET", b"a"], write=False) == [b"$-1\r\n"]


def test_node_keeps_the_session_of_a_member_that_is_silent_for_long() -> None:
    """Its first part, which opens a session, comes out of the network minutes later: not executed again."""
    cluster = Cluster()
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.ask(2, [b"INCR", b"n"], write=True)
    cluster.nodes[2].flush()
    ((group, part),) = [each for each in cluster.links[2, 1].queue if isinstance(each[1], ForwardPart)]
    assert cluster.run(2000, until=lambda: not cluster.nodes[2].lanes[1].origin.inflight)
    cluster.crash(2)
    cluster.run(600_000)
    cluster.nodes[1].on_frame(2, group, part)
    cluster.run(200)
    assert cluster.call(3, [b"GET", b"n"], write=False) == [b"$1\r\n1\r\n"]


def test_node_over_its_memory_limit_applies_what_its_leader_let_through() -> None:
    """Its limit is its own, as is the moment at which it notices: only the leader's word is in the entry."""
    cluster = Cluster()
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.nodes[3].config = cluster.config.changed(maxmemory="1")
    cluster.nodes[3].health.measure()
    assert cluster.nodes[3].health.over_memory
    write = cluster.ask(1, [b"SET", b"a", b"1"], write=True)
    cluster.nodes[1].flush()  # before the leader has heard of it
    cluster.run(100)
    assert write.replies == [b"+OK\r\n"]
    refused = cluster.call(1, [b"SET", b"b", b"1"], write=True)
    assert refused[0].startswith(b"-OOM"), "by now the leader knows, and refuses for all"
    cluster.run(500)
    found = {node.replicas[1].applier.keyspace.key_count for node in cluster.nodes.values()}
    assert found == {1}


@pytest.mark.parametrize("reader", [1, 2, 3])
def test_node_read_finds_a_key_gone_only_when_its_removal_is_applied(reader: int) -> None:
    """What one read has found expired no later one may find alive: it does not go by the clock alone."""
    cluster = Cluster()
    cluster.elect()
    cluster.run(2000)
    keyspace = cluster.nodes[reader].replicas[1].applier.keyspace
    for number in range(20):
        key, lives_ms = b"%d" % number, b"%d" % (40 + 13 * number)
        cluster.call(1, [b"SET", key, b"1", b"PX", lives_ms], write=True)
        while cluster.call(reader, [b"GET", key], write=False) != [b"$-1\r\n"]:
            assert keyspace.key_count == 1
        assert keyspace.key_count == 0
