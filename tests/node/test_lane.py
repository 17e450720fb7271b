"""A lane through changes of leader, restarts and lost answers: nothing stale, nothing stuck."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import pytest

from redraft.commands import execute
from redraft.commands.context import Context
from redraft.commands.reply import REFUSED
from redraft.commands.table import IDS
from redraft.raft.messages import Pong
from redraft.replica.request import TRYAGAIN, Request
from redraft.transport.messages import ForwardRead, Published, ReadIndexReply
from tests.node.bottle import Cluster


def others(cluster: Cluster, number: int, group: int = 1) -> list[int]:
    """The other voters of a group."""
    return [voter for voter in cluster.map.groups[group - 1].voters if voter != number]


def deliver(cluster: Cluster, sender: int, receiver: int) -> None:
    """Hand over all that is under way in one direction."""
    queue = cluster.links[sender, receiver].queue
    while queue:
        cluster.nodes[receiver].on_frame(sender, *queue.popleft())


def test_lane_takes_no_answer_to_reads_of_its_earlier_life() -> None:
    """A node without a replica restarts with a read under way: its first read gets its own answer."""
    cluster = Cluster(size=4)
    cluster.elect()
    for key in (b"a", b"b"):
        cluster.call(4, [b"SET", key, key], write=True)
    leader = cluster.leader()
    cluster.ask(4, [b"GET", b"a"], write=False)
    cluster.nodes[4].flush()
    deliver(cluster, 4, leader)
    cluster.paused.update(others(cluster, leader))  # so that no round is confirmed
    cluster.nodes[leader].flush()
    cluster.crash(4)
    cluster.start(4)
    assert cluster.run(60, until=lambda: cluster.nodes[4].leader_of(1) == leader)
    read = cluster.ask(4, [b"GET", b"b"], write=False)
    cluster.run(60)
    cluster.paused.clear()
    assert cluster.run(5000, until=lambda: read.replies is not None)
    assert read.replies == [b"$1\r\nb\r\n"]


def test_lane_reads_on_no_round_that_was_sent_before_the_read_came() -> None:
    """Each asking has a fresh round: an answer to an older one proves nothing about now (thesis §6.4)."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    node = cluster.nodes[leader]
    cluster.call(leader, [b"GET", b"a"], write=False)
    session = node.liveness.peer_state(others(cluster, leader)[0])
    read = cluster.ask(leader, [b"GET", b"a"], write=False)
    node.flush()
    for other in others(cluster, leader):
        node.on_frame(other, 0, Pong(session.acked_round, session.sent_version, 0, 0))
    node.flush()
    assert read.replies is None
    assert cluster.run(100, until=lambda: read.replies is not None)


def test_lane_asks_again_for_reads_of_others_when_its_asking_was_refused() -> None:
    """Reads that a peer sent to a node that leads no more are looked after like this node's own."""
    cluster = Cluster(size=4)
    cluster.elect()
    leader = cluster.leader()
    follower = others(cluster, leader)[0]
    read = cluster.ask(4, [b"GET", b"a"], write=False)
    cluster.nodes[4].flush()
    group, message = cluster.links[4, leader].queue.pop()
    assert isinstance(message, ForwardRead)
    node = cluster.nodes[follower]
    node.on_frame(4, group, message)
    node.flush()
    asking = cluster.links[follower, leader].queue.pop()[1]
    node.on_frame(leader, group, ReadIndexReply(asking.request_id, False, 0, 0))
    assert cluster.run(200, until=lambda: read.replies is not None)
    assert read.replies == [b"$-1\r\n"]


def test_lane_takes_an_answer_that_comes_late() -> None:
    """A follower far away does not ask again so soon that each answer finds it asking anew."""
    cluster = Cluster()
    cluster.elect()
    cluster.run(200)
    leader = cluster.leader()
    follower = others(cluster, leader)[0]
    node = cluster.nodes[follower]
    read = cluster.ask(follower, [b"GET", b"a"], write=False)
    node.flush()
    asking = cluster.links[follower, leader].queue.pop()[1]
    for _ in range(20):  # 400 ms
        cluster.now += 20
        node.tick()
        node.flush()
    node.on_frame(leader, 1, ReadIndexReply(asking.request_id, True, 1, 0))
    node.flush()
    assert read.replies == [b"$-1\r\n"]


def test_lane_goes_on_with_parts_of_others_after_a_hand_over_that_failed() -> None:
    """Parts that waited when a hand-over began are proposed once it is given up."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    node = cluster.nodes[leader]
    target, other = others(cluster, leader)
    write = cluster.ask(other, [b"INCR", b"n"], write=True)
    cluster.nodes[other].flush()
    deliver(cluster, other, leader)
    cluster.paused.add(target)
    node.transfer(cluster.map.groups[0], target)
    assert cluster.run(2000, until=lambda: write.replies is not None)
    assert write.replies == [b":1\r\n"]


def test_lane_serves_no_lease_read_in_a_term_it_began_to_hand_over() -> None:
    """The target's election ignores what a lease rests on, so the lease is gone for the rest of the term."""
    cluster = Cluster(settings={"read_mode": "lease"})
    cluster.elect()
    leader = cluster.leader()
    node, group = cluster.nodes[leader], cluster.map.groups[0]
    cluster.run(200)
    assert node.lease_holds(group)
    target = others(cluster, leader)[0]
    cluster.paused.add(target)
    node.transfer(group, target)
    assert cluster.run(1000, until=lambda: node.replicas[1].proposes)
    assert not node.lease_holds(group)
    cluster.paused.clear()


def test_lane_expires_keys_after_its_own_expiry_entry_was_lost() -> None:
    """An EXPIRE entry that was proposed and cut from the log is not waited for by the next leadership."""
    cluster = Cluster(settings={"entry_bytes_max": 4096})
    leader = cluster.map.groups[0].voters[0]  # who will lead again
    assert cluster.run(20_000, until=lambda: cluster.leader() == leader)
    cluster.call(1, [b"SET", b"a", b"1", b"PX", b"100"], write=True)
    for other in others(cluster, leader):
        cluster.partition(leader, other)
    for number in range(10):
        cluster.ask(leader, [b"SET", b"big", b"%d" % number + b"x" * 4096], write=True)
        cluster.nodes[leader].flush()
    cluster.run(8000)
    cluster.heal()
    assert cluster.run(20_000, until=lambda: cluster.leader() == leader)
    cluster.call(leader, [b"SET", b"b", b"1", b"PX", b"50"], write=True)
    cluster.run(200)
    assert cluster.call(leader, [b"GET", b"b"], write=False) == [b"$-1\r\n"]


def test_lane_survives_a_read_that_waited_too_long_for_apply() -> None:
    """A follower that got its read index and then nothing more: refused in time, and well afterwards."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    follower, other = others(cluster, leader)
    node = cluster.nodes[follower]
    read = cluster.ask(follower, [b"GET", b"a"], write=False)
    node.flush()
    asking = cluster.links[follower, leader].queue.pop()[1]
    ahead = node.replicas[1].applier.applied_index + 1
    node.on_frame(leader, 1, ReadIndexReply(asking.request_id, True, ahead, 0))
    cluster.partition(follower, leader)
    cluster.partition(follower, other)
    cluster.run(5000)
    assert read.replies is not None
    assert read.replies[0].startswith(b"-CLUSTERDOWN")
    cluster.call(leader, [b"SET", b"a", b"1"], write=True)
    cluster.heal()
    cluster.run(3000)
    assert cluster.call(follower, [b"GET", b"a"], write=False) == [b"$1\r\n1\r\n"]


def test_lane_tells_of_a_bug_in_a_command_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that fails as it should not: -ERR on every replica, a line in the log, no crash, no leak."""

    def broken(_ctx: Context, _args: list[bytes]) -> bytes:
        raise ZeroDivisionError

    number = IDS[b"append"]
    command = dataclasses.replace(execute._PLAIN[number], handler=broken)
    monkeypatch.setitem(execute._PLAIN, number, command)
    cluster = Cluster()
    cluster.elect()
    with caplog.at_level(logging.ERROR, "redraft.replica"):
        replies = cluster.call(1, [b"APPEND", b"a", b"1"], [b"SET", b"b", b"2"], write=True)
        cluster.run(200)
    assert replies[0].startswith(b"-ERR")
    assert replies[1] == b"+OK\r\n"
    told = [record for record in caplog.records if record.name == "redraft.replica"]
    assert len(told) == 3, "each replica tells of it once"
    assert all(not node.replicas[1].applier._context.bugs for node in cluster.nodes.values())


def test_lane_keeps_no_large_replies_of_an_idle_origin() -> None:
    """Replies wait in every replica's state for the origin's next part: when they are large, not for long."""
    cluster = Cluster()
    cluster.elect()
    large = b"x" * 100_000
    for number in cluster.nodes:
        cluster.call(number, [b"SET", b"a", large], [b"GET", b"a"], write=True)
    cluster.run(300)
    for node in cluster.nodes.values():
        sessions = node.replicas[1].applier.sessions._by_origin.values()
        assert len(sessions) == 3
        assert all(not any(session.replies.values()) for session in sessions)
        assert node.drained


def test_lane_forwards_no_more_replies_than_a_frame_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is answered with an error, each command has its reply, and no node goes down."""
    monkeypatch.setattr("redraft.node.lane.FORWARDED_REPLY_BYTES_MAX", 2500)
    cluster = Cluster(size=5)
    cluster.elect()
    stranger = next(number for number, node in cluster.nodes.items() if 1 not in node.replicas)
    cluster.call(stranger, [b"SET", b"a", b"x" * 1000], write=True)
    replies = cluster.call(stranger, *[[b"GET", b"a"]] * 3, write=False)
    assert [reply[:4] for reply in replies] == [b"$100", b"$100", b"-ERR"]


def test_lane_lease_outlives_the_link_on_which_it_was_promised() -> None:
    """A follower that loses its leader's link keeps the promise made with its last answer."""
    cluster = Cluster(settings={"read_mode": "lease"})
    cluster.elect()
    cluster.run(3000)
    leader = cluster.leader()
    follower = others(cluster, leader)[0]
    node = cluster.nodes[follower]
    raft = node.replicas[1].raft
    assert cluster.run(5000, until=lambda: cluster.now - raft.heard_ms > 500), "pings alone keep it quiet"
    cluster.partition(leader, follower)
    cluster.run(200)
    assert cluster.nodes[leader].lease_holds(cluster.map.groups[0])
    assert raft.is_sticky(node.now_ms())


def test_lane_says_not_executed_of_no_part_that_another_leader_may_still_get() -> None:
    """A node with a full disk comes to lead while its part crawls to the former leader: no -MISCONF."""
    cluster = Cluster()
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.run(2000)
    write = cluster.ask(2, [b"INCR", b"n"], write=True)
    cluster.nodes[2].flush()
    cluster.paused.add(1)
    cluster.disks[2].full = True
    cluster.nodes[3].replicas[1].raft.deadline_ms += 60_000
    assert cluster.run(5000, until=lambda: cluster.leader() == 2)
    assert cluster.run(5000, until=lambda: cluster.leader() == 3)
    assert cluster.run(5000, until=lambda: write.replies is not None)

    slow = cluster.links[2, 1].queue
    held = list(slow)
    slow.clear()
    cluster.paused = {2}
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    slow.extend(held)
    cluster.run(200)
    assert cluster.call(1, [b"GET", b"n"], write=False) == [b"$1\r\n1\r\n"]
    assert write.replies == [b":1\r\n"]


def test_lane_judges_its_lease_when_the_read_has_come() -> None:
    """A stopped process goes on with a read in its socket: by its last tick the lease would still hold."""
    cluster = Cluster(settings={"read_mode": "lease"})
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.call(1, [b"SET", b"a", b"old"], write=True)
    cluster.run(200)
    node = cluster.nodes[1]
    assert node.lease_holds(cluster.map.groups[0])
    cluster.paused.add(1)
    assert cluster.run(5000, until=lambda: cluster.leader() not in (0, 1))
    assert cluster.call(cluster.leader(), [b"SET", b"a", b"new"], write=True) == [b"+OK\r\n"]
    read = cluster.ask(1, [b"GET", b"a"], write=False)
    node.flush()
    assert read.replies is None
    cluster.paused.clear()
    assert cluster.run(5000, until=lambda: read.replies is not None)
    assert read.replies == [b"$3\r\nnew\r\n"]


def test_lane_lease_outlives_a_restart_of_the_follower_that_it_rests_on() -> None:
    """It has forgotten what it promised, so it votes for nobody until the promise is over."""
    cluster = Cluster(settings={"read_mode": "lease"})
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.run(2000)
    group = cluster.map.groups[0]
    cluster.silence(1, 3)
    cluster.run(3 * cluster.config.election_timeout_ms)
    assert cluster.nodes[1].lease_holds(group), "node 2 keeps node 3 from being elected"
    cluster.silence(1, 2)
    for pair in ((1, 2), (2, 1)):
        del cluster.links[pair]  # nobody tells the leader that the link is gone
    cluster.cut.add(frozenset((1, 2)))
    cluster.crash(2)
    cluster.start(2)
    cluster.nodes[3].replicas[1].raft.deadline_ms = cluster.now  # it campaigns at once

    def other_leads() -> bool:
        return cluster.nodes[2].leads(1) or cluster.nodes[3].leads(1)

    assert not cluster.run(
        2 * cluster.config.election_timeout_ms,
        until=lambda: other_leads() and cluster.nodes[1].lease_holds(group),
    )
    assert cluster.run(5000, until=other_leads)


class Attentive:
    """The client side of a node, which remembers what groups refused."""

    waiting = False

    def __init__(self) -> None:
        self.taken: list[tuple[Request, list[bytes]]] = []

    def refused(self, request: Request, replies: list[bytes]) -> None:
        self.taken.append((request, replies))

    def map_changed(self) -> None:
        """It goes by no map."""

    def published(self, message: Published) -> None:
        """It listens to nothing."""


def test_lane_is_not_all_that_a_node_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """While refused commands wait for their slots, requests are unanswered although no lane has any."""
    cluster = Cluster()
    cluster.elect()
    side = cluster.nodes[1].clients = Attentive()
    assert cluster.nodes[1].drained
    monkeypatch.setattr(side, "waiting", True)
    assert not cluster.nodes[1].drained


def refuse_from(monkeypatch: pytest.MonkeyPatch, key: bytes) -> None:
    """Have every replica refuse commands with that key, and what comes behind one in a batch."""
    carry_out = execute.execute_batch

    def guarded(ctx: Context, data: bytes, marks: Sequence[tuple[int, int]]) -> list[bytes]:
        replies = carry_out(ctx, data, marks)
        served = data.partition(key)[0].count(b"*") - 1 if key in data else len(replies)
        return replies[:served] + [REFUSED] * (len(replies) - served)

    monkeypatch.setattr("redraft.replica.apply.execute_batch", guarded)


@pytest.mark.parametrize("write", [True, False])
def test_lane_gives_refused_requests_back_to_the_client_side(
    monkeypatch: pytest.MonkeyPatch, write: bool
) -> None:
    """At the leader, a follower and a node without replica; reads beside them are answered."""
    refuse_from(monkeypatch, b"moved")
    cluster = Cluster(size=4)
    cluster.elect()
    for number, node in cluster.nodes.items():
        side = node.clients = Attentive()
        answered = cluster.call(number, [b"GET", b"a"], write=write)
        refused = cluster.ask(number, [b"GET", b"a"], [b"GET", b"moved"], [b"GET", b"a"], write=write)
        assert cluster.run(2000, until=lambda side=side: bool(side.taken)), number
        assert answered == [b"$-1\r\n"]
        assert side.taken == [(refused, [b"$-1\r\n", REFUSED, REFUSED])]
        assert refused.replies is None
        assert node.drained


def test_lane_gives_back_a_refused_read_that_waited_for_an_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is executed alone then, by another way."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    cluster.call(leader, [b"SET", b"moved", b"1", b"PX", b"1"], write=True)
    side = cluster.nodes[leader].clients = Attentive()
    cluster.now += 50
    read = cluster.ask(leader, [b"GET", b"moved"], write=False)
    refuse_from(monkeypatch, b"moved")
    assert cluster.run(2000, until=lambda: bool(side.taken))
    assert side.taken == [(read, [REFUSED])]


def test_lane_keeps_a_refusal_apart_from_replies_too_large_to_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was refused was not executed, so it is sent on, however much was replied to what came before."""
    monkeypatch.setattr("redraft.node.lane.FORWARDED_REPLY_BYTES_MAX", 2500)
    refuse_from(monkeypatch, b"moved")
    cluster = Cluster(size=5)
    cluster.elect()
    stranger = next(number for number, node in cluster.nodes.items() if 1 not in node.replicas)
    side = cluster.nodes[stranger].clients = Attentive()
    cluster.call(stranger, [b"SET", b"a", b"x" * 1000], write=True)
    cluster.ask(stranger, *[[b"GET", b"a"]] * 3, [b"GET", b"moved"], write=False)
    assert cluster.run(2000, until=lambda: bool(side.taken))
    assert [reply[:4] for reply in side.taken[0][1]] == [b"$100", b"$100", b"-ERR", REFUSED[:4]]


def test_lane_without_clients_says_not_executed_of_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to send it on."""
    refuse_from(monkeypatch, b"moved")
    cluster = Cluster()
    cluster.elect()
    assert cluster.call(1, [b"GET", b"a"], [b"GET", b"moved"], write=True) == [b"$-1\r\n", TRYAGAIN]
