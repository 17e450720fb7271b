"""A link over a real socket pair, driven cycle by cycle."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from redraft.raft.messages import Ping
from redraft.transport.frames import Message
from redraft.transport.link import CYCLE_BYTES_MAX, Link
from redraft.transport.messages import ExpireRequest, ForwardPart
from redraft.transport.reactor import Reactor


class Pair:
    """Two links to each other, A and B, and what they delivered."""

    def __init__(self, *, queue_bytes_max: int = 1 << 30) -> None:
        self.reactor = Reactor()
        self.received: dict[int, list[Message]] = {1: [], 2: []}
        self.closed: list[tuple[int, str]] = []
        left, right = socket.socketpair()
        self.a, self.b = (
            Link(
                connection,
                node_id=peer,
                incarnation=1,
                reactor=self.reactor,
                on_message=lambda sender, group, message: self.received[sender].append(message),
                on_close=lambda link, reason: self.closed.append((link.node_id, reason)),
                queue_bytes_max=queue_bytes_max,
            )
            for connection, peer in ((left, 2), (right, 1))
        )
        self.reactor.add_flush(self.flush)

    def flush(self) -> None:
        self.a.flush()
        self.b.flush()

    def settle(self) -> None:
        """Cycles until nothing moves."""
        self.reactor.wake()
        while self.reactor.cycle():
            pass


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.a.close("test over")
    pair.b.close("test over")
    pair.reactor.close()


def test_link_delivers_both_ways_in_order(pair: Pair) -> None:
    """What one end sends the other gets, in order, after a flush and not before."""
    for number in range(100):
        pair.a.send(1, ExpireRequest(number))
        pair.b.send(1, ForwardPart(b"%d" % number))
    assert not pair.received[1]
    pair.settle()
    assert pair.received[1] == [ExpireRequest(number) for number in range(100)]
    assert pair.received[2] == [ForwardPart(b"%d" % number) for number in range(100)]
    assert pair.a.queued_bytes == 0
    assert pair.a.bytes_sent == pair.b.bytes_received


def test_link_carries_very_large_frames(pair: Pair) -> None:
    """A frame larger than all buffers arrives whole; a liveness frame sent after it arrives before it."""
    large = ForwardPart(b"0123456789abcdef" * (4 << 20))
    pair.a.send(1, large)
    pair.a.flush()
    pair.a.send(0, Ping(1, 1, 1, 0))
    pair.a.send(0, ExpireRequest(1))
    pair.settle()
    kinds = [type(message) for message in pair.received[1]]
    assert kinds == [Ping, ForwardPart, ExpireRequest]
    assert pair.received[1][1] == large


def test_link_does_not_hog_a_cycle(pair: Pair) -> None:
    """However much a peer sends, one cycle reads a bounded part of it, and the next goes on."""
    pair.a.send(1, ForwardPart(bytes(16 << 20)))
    pair.reactor.wake()
    before = 0
    while pair.reactor.cycle():
        assert pair.b.bytes_received - before <= CYCLE_BYTES_MAX + (1 << 20)
        before = pair.b.bytes_received
    assert len(pair.received[1]) == 1


def test_link_reports_the_end_once(pair: Pair) -> None:
    """The peer's last frames are delivered, then the end is reported, once, with a reason."""
    pair.a.send(1, ExpireRequest(1))
    pair.a.flush()
    pair.a.close("done here")
    pair.settle()
    assert pair.received[1] == [ExpireRequest(1)]
    assert pair.closed == [(2, "done here"), (1, "the peer closed the connection")]
    pair.b.send(1, ExpireRequest(2))
    pair.settle()
    assert len(pair.closed) == 2


def test_link_cuts_off_who_speaks_nonsense() -> None:
    """Bytes that are no frame close the link with a reason; nothing is delivered."""
    reactor = Reactor()
    closed: list[str] = []
    left, right = socket.socketpair()
    link = Link(
        left,
        node_id=2,
        incarnation=1,
        reactor=reactor,
        on_message=lambda sender, group, message: pytest.fail("nonsense was delivered"),
        on_close=lambda link, reason: closed.append(reason),
        queue_bytes_max=1000,
    )
    with right:
        right.send(b"\x01\x00\x00\x00\xee\x00\x00\x00?")
        reactor.cycle()
    reactor.close()
    assert link.closed
    assert closed == ["the peer does not keep to the protocol: there is no frame of type 0xee"]


def test_link_cuts_off_who_does_not_read() -> None:
    """Beyond its limit a queue is not grown: the link is closed, and says so once `send` has returned."""
    pair = Pair(queue_bytes_max=1 << 20)
    pair.reactor.unregister(pair.b._socket.fileno())
    sends = 0
    while not pair.a.closed:
        assert pair.a.queued_bytes < 3 << 20
        pair.a.send(1, ForwardPart(bytes(1 << 19)))
        pair.a.send(1, ForwardPart(bytes(1 << 19)))
        pair.a.flush()
        sends += 1
        assert sends < 100
    assert not pair.closed
    assert pair.reactor.cycle()
    assert pair.closed[0][1].startswith("the peer reads too slowly")
    pair.b._socket.close()
    pair.reactor.close()


def test_link_is_not_cut_for_one_large_frame() -> None:
    """What is larger than the limit goes out, and what follows it: else the next link would be cut too."""
    pair = Pair(queue_bytes_max=1 << 20)
    messages = [ForwardPart(bytes(8 << 20)), *[ForwardPart(b"more")] * 10]
    for message in messages:
        pair.a.send(1, message)
    pair.settle()
    assert pair.received[1] == messages
    pair.a.close("test over")
    pair.b.close("test over")
    pair.reactor.close()


def test_link_closed_by_its_reader_delivers_no_more() -> None:
    """When a message makes the node close the link, the messages behind it are not delivered."""
    pair = Pair()
    seen: list[Message] = []

    def closes(sender: int, group: int, message: Message) -> None:
        seen.append(message)
        pair.b.close("enough")

    pair.b._on_message = closes
    for number in range(3):
        pair.a.send(1, ExpireRequest(number))
    pair.settle()
    assert seen == [ExpireRequest(0)]
    assert pair.a.closed
    pair.reactor.close()
