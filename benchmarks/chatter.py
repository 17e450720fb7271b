"""What the nodes of a large cluster say to each other though nobody asks: heartbeats and load reports."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from benchmarks.bignode import least
from redraft.base.config import Config
from redraft.control.facts import Facts, GroupFacts, NodeFacts
from redraft.control.policy import make_plan
from redraft.control.reports import GroupReport, NodeReport, decode_report, encode_report
from redraft.control.thresholds import Thresholds
from redraft.control.topology import Topology
from redraft.node.gathering import Gathering
from redraft.node.heartbeat import Contact
from redraft.raft.liveness import Liveness
from redraft.transport.link import Link
from redraft.transport.messages import NO_GROUP
from redraft.transport.reactor import Reactor

GROUPS_LED = 100
BEATS = 20
QUEUE_BYTES = 1 << 24


class Speaker:
    """A node that does nothing but vouch for what it leads, over real links."""

    def __init__(self, number: int, reactor: Reactor) -> None:
        self.number = number
        self.reactor = reactor
        self.liveness = Liveness(number, lambda _peer, _group, _term: True)
        self.links: dict[int, Link] = {}
        self.heard = 0

    def meet(self, peer: int, end: socket.socket) -> None:
        """Take over one end of a connection."""
        self.links[peer] = Link(
            end,
            node_id=peer,
            incarnation=1,
            reactor=self.reactor,
            on_message=self.take,
            on_close=lambda _link, _why: None,
            queue_bytes_max=QUEUE_BYTES,
        )
        self.liveness.link_up(peer, 0.0)

    def take(self, peer: int, _group: int, message: Any) -> None:
        """A peer says something; the answer leaves at once."""
        self.heard += 1
        self.liveness.step(peer, message, 0.0, 0.0, 0)
        self.tell()

    def beat(self) -> None:
        """A heartbeat."""
        self.liveness.open_round(0.0, 0.0, 0)
        self.tell()

    def tell(self) -> None:
        """Say what there is to say."""
        for peer, message in self.liveness.take_messages():
            self.links[peer].send(NO_GROUP, message)
            self.links[peer].flush()


def heartbeats(nodes: int) -> dict[str, float]:
    """The share of a core that one node needs to stay in touch with all others.

    The peers' heartbeats come one by one, as those of clocks that have nothing to do with each other.
    """
    own, peers = Speaker(1, Reactor()), list[Speaker]()
    others = Reactor()
    for number in range(2, nodes + 1):
        peer = Speaker(number, others)
        here, there = socket.socketpair()
        own.meet(number, here)
        peer.meet(1, there)
        peers.append(peer)
    for group in range(1, GROUPS_LED + 1):
        own.liveness.lead(group, 1)
    own.beat()
    _settle(own, others)
    used, before = 0.0, own.heard
    for _ in range(BEATS):
        used += _timed(own.beat)
        _settle(own, others)
        for peer in peers:
            peer.beat()
            used += _timed(own.reactor.cycle)
            others.cycle()
    beats_per_s = 1000 / Config().heartbeat_ms
    for speaker in (own, *peers):
        for link in speaker.links.values():
            link.close("the end")
    return {
        "heartbeats: frames heard per second": (own.heard - before) / BEATS * beats_per_s,
        "heartbeats: share of a core, %": used / BEATS * beats_per_s * 100,
    }


def _settle(own: Speaker, others: Reactor) -> None:
    while others.cycle() or own.reactor.cycle():
        pass


def _timed(run: Callable[[], object]) -> float:
    begun = time.thread_time()
    run()
    return time.thread_time() - begun


def reports(topology: Topology) -> dict[str, float]:
    """What the topology group's leader does with a second's reports of all nodes, and with all it knows."""
    chance = random.Random(1)
    told: dict[int, list[GroupReport]] = {node.node_id: [] for node in topology.nodes}
    for group in topology.groups:
        for place, voter in enumerate(group.voters):
            reads = round(chance.random() * 1000, 1)
            told[voter].append(
                GroupReport(group.group_id, 3, 10_000, 1 << 20, reads, reads, group.voters)
                if not place
                else GroupReport(group.group_id, 0, reads=reads)
            )
    made = [NodeReport(0.1234, False, tuple(each)) for each in told.values()]
    node: Any = SimpleNamespace(
        steering=SimpleNamespace(roster=SimpleNamespace(topology=topology)),
        heartbeat=SimpleNamespace(contact=lambda _node: Contact(1.0, 1.0, 0, True)),
    )
    gathering = Gathering(node)
    for node_id, report in zip(told, made, strict=True):
        gathering.take(node_id, report, 0.0)
    encoded = [encode_report(each) for each in made]
    facts = Facts(
        topology,
        {node.node_id: NodeFacts(node.node_id, 0.0, 0.1) for node in topology.nodes},
        {
            group.group_id: GroupFacts(group.group_id, group.voters[0], 10_000.0, 1e6, 100.0)
            for group in topology.groups
        },
    )
    return {
        "a load report, bytes": max(map(len, encoded)),
        "encode one, ms": least(lambda: encode_report(made[0])),
        "load reports of all nodes, bytes": sum(map(len, encoded)),
        "decode them, ms": least(lambda: list(map(decode_report, encoded))),
        "gather what is known, ms": least(lambda: gathering.facts(1.0)),
        "make a plan, ms": least(lambda: make_plan(facts, Thresholds())),
    }
