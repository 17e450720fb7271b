"""Peers over real loopback sockets: meeting, linking, replacing, refusing, and bearing with strangers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from redraft.base.address import Address
from redraft.base.errors import AddressError, PeerRefusedError
from redraft.topology.cluster_map import Member
from redraft.transport import dial, peers
from redraft.transport.frames import Message
from redraft.transport.handshake import Admitted, Card, Kind, Purpose, Refusal, Stage
from redraft.transport.link import Link
from redraft.transport.messages import ExpireRequest
from redraft.transport.peers import Peers
from redraft.transport.reactor import Reactor

SECRET = b"0123456789abcdef"


class Membership:
    """Everybody is welcome but those in `refused`."""

    def __init__(self, number: int, incarnation: int) -> None:
        self.number = number
        self.incarnation = incarnation
        self.refused: dict[str, Refusal] = {}
        self.met_cards: list[Card] = []
        self.peer_port = 1
        self.known: list[Member] = []

    def card(self) -> Card:
        return Card(
            hex_id=f"{self.number:040x}",
            incarnation=self.incarnation,
            host="127.0.0.1",
            client_port=self.number,
            primary_port=1,
            replica_port=1,
            peer_port=self.peer_port,
            stage=Stage.NEW,
            cluster_id="",
            founding="",
            software="",
        )

    def judge(self, card: Card, _purpose: Purpose) -> Refusal | None:
        return self.refused.get(card.hex_id)

    def met(self, card: Card) -> bool:
        self.met_cards.append(card)
        return True

    def members(self) -> list[Member]:
        return self.known


class Process:
    """One node's transport: reactor, peers, and what happened."""

    def __init__(self, number: int, incarnation: int, secret: bytes) -> None:
        self.number = number
        self.membership = Membership(number, incarnation)
        self.reactor = Reactor()
        self.peers = Peers(self.reactor, self.membership, secret=secret, queue_bytes_max=1 << 30)
        self.events: list[tuple[str, int]] = []
        self.messages: list[tuple[int, int, Message]] = []
        self.happened = trio.Condition()
        self.reactor.add_flush(self.flush)
        self.scope = trio.CancelScope()
        self.port = 0

    def flush(self) -> None:
        for link in list(self.peers.links.values()):
            link.flush()

    def on_up(self, peer: int, link: Link) -> None:
        self.events.append(("up", peer))
        assert self.peers.links[peer] is link

    def on_down(self, peer: int) -> None:
        self.events.append(("down", peer))

    @property
    def member(self) -> Member:
        return Member(self.number, f"{self.number:040x}", "127.0.0.1", self.number, 1, 1, self.port)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.number, self.port)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.reactor.run)
                self.port = await nursery.start(self.peers.listen, "127.0.0.1", self.port)
                self.membership.peer_port = self.port
                task_status.started()
        for link in list(self.peers.links.values()):
            link.close("the process ends")
        self.reactor.close()

    def know(self, *others: Process | Member) -> None:
        """These are the members, with this node."""
        known = [other if isinstance(other, Member) else other.member for other in others]
        self.membership.known = [self.member, *known]
        self.peers.refresh()

    async def keep_linked(self, *others: Process | Member) -> None:
        self.know(*others)
        with trio.CancelScope() as self.link_scope:
            await self.peers.keep_linked(
                self.number,
                on_up=self.on_up,
                on_down=self.on_down,
                on_message=lambda peer, group, message: self.messages.append((peer, group, message)),
            )


@asynccontextmanager
async def process(number: int, incarnation: int = 1, secret: bytes = SECRET) -> AsyncIterator[Process]:
    """Run a node's transport for the time of the block."""
    node = Process(number, incarnation, secret)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        yield node
        node.scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Let everybody run until it holds; real sockets, so bounded in real time."""
    with trio.fail_after(20):
        while not holds():
            await trio.lowlevel.checkpoint()


async def test_peers_introduce_themselves() -> None:
    """An introduction shows each the other's card, leaves no link, and reports the change."""
    async with process(1) as one, process(2) as two:
        changed = two.peers.changed()
        await one.peers.introduce(two.address)
        assert [card.client_port for card in one.membership.met_cards] == [2]
        with trio.fail_after(20):
            await changed.wait()
        assert [card.client_port for card in two.membership.met_cards] == [1]
        assert not two.peers.changed().is_set()
        assert not one.peers.links


async def test_peers_link_and_talk() -> None:
    """Two nodes get one link between them, carried messages included, whoever comes first."""
    async with process(1) as one, process(2) as two, trio.open_nursery() as nursery:
        nursery.start_soon(two.keep_linked, one)
        nursery.start_soon(one.keep_linked, two)
        await until(lambda: one.events == [("up", 2)] and two.events == [("up", 1)])
        one.peers.links[2].send(7, ExpireRequest(1))
        two.peers.links[1].send(8, ExpireRequest(2))
        one.reactor.wake()
        two.reactor.wake()
        await until(lambda: bool(one.messages and two.messages))
        assert two.messages == [(1, 7, ExpireRequest(1))]
        assert one.messages == [(2, 8, ExpireRequest(2))]
        nursery.cancel_scope.cancel()


async def test_peers_link_again_after_a_restart() -> None:
    """A peer that comes back as a new process gets a new link; the loss of the old one is reported first."""
    async with process(1) as one, trio.open_nursery() as nursery:
        async with process(2) as two:
            port = two.port
            nursery.start_soon(one.keep_linked, two)
            nursery.start_soon(two.keep_linked, one)
            await until(lambda: bool(one.peers.links and two.peers.links))
            session = one.peers.links[2].session
            two.link_scope.cancel()
        await until(lambda: one.events == [("up", 2), ("down", 2)])
        two = Process(2, 2, SECRET)
        two.port = port
        await nursery.start(two.run)
        nursery.start_soon(two.keep_linked, one)
        await until(lambda: one.events == [("up", 2), ("down", 2), ("up", 2)])
        assert one.peers.links[2].incarnation == 2
        assert one.peers.links[2].session != session
        two.scope.cancel()
        nursery.cancel_scope.cancel()


async def test_peers_newest_link_replaces_the_old() -> None:
    """A second link of the same node takes the first one's place: down before up, and the new one stays."""
    async with process(1) as one, process(2) as two, trio.open_nursery() as nursery:
        nursery.start_soon(two.keep_linked, one)
        nursery.start_soon(one.keep_linked, two)
        await until(lambda: bool(one.peers.links and two.peers.links))
        first = two.peers.links[1]
        _outcome, connection = await one.peers._dial("127.0.0.1:2", "127.0.0.1", two.port, Purpose.LINK)
        await until(lambda: two.peers.links.get(1) not in {None, first})
        assert first.closed
        assert two.events[:3] == [("up", 1), ("down", 1), ("up", 1)]
        connection.close()
        await until(lambda: one.events[-1] == ("up", 2) and len(one.events) == 3 and 1 in two.peers.links)
        nursery.cancel_scope.cancel()


async def test_peers_link_with_members_that_come_and_let_go_of_those_that_leave() -> None:
    """A node that becomes a member is dialled at once; one that is none any more loses its link."""
    async with process(1) as one, process(2) as two, trio.open_nursery() as nursery:
        nursery.start_soon(one.keep_linked)
        nursery.start_soon(two.keep_linked, one)
        await until(lambda: [card.client_port for card in one.membership.met_cards] == [2])
        assert not one.peers.links
        one.know(two)
        await until(lambda: one.events == [("up", 2)] and two.events == [("up", 1)])
        one.know()
        await until(lambda: one.events == [("up", 2), ("down", 2)])
        nursery.cancel_scope.cancel()


async def test_peers_show_themselves_again_to_who_does_not_dial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that was unknown when it showed itself, or whose peer was down, is found all the same."""
    monkeypatch.setattr(peers, "SHOW_AGAIN_S", 0.01)
    async with process(1) as one, process(2) as two, trio.open_nursery() as nursery:
        nursery.start_soon(two.keep_linked, one)
        await until(lambda: len(one.membership.met_cards) > 2)
        nursery.start_soon(one.keep_linked, two)
        await until(lambda: bool(one.peers.links and two.peers.links))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("removed", [1, 2])
async def test_peers_of_a_removed_node_tell_it(removed: int) -> None:
    """Whether it dials or only shows itself, a removed node hears so, and stops with that sentence."""
    async with process(1) as one, process(2) as two, trio.open_nursery() as nursery:
        gone, other = (one, two) if removed == 1 else (two, one)
        hex_id = gone.membership.card().hex_id
        other.membership.refused[hex_id] = Refusal(Kind.REMOVED, "You were removed.")
        nursery.start_soon(other.keep_linked)
        with pytest.RaisesGroup(pytest.RaisesExc(PeerRefusedError, match=r"You were removed\.")):
            await gone.keep_linked(other)
        nursery.cancel_scope.cancel()


async def test_peers_admit_who_asks_to_join() -> None:
    """The answer is the cluster's: a charter, or a refusal with its sentence; before that, wait."""
    async with process(1) as one, process(9) as new:
        with pytest.raises(PeerRefusedError, match="is still starting") as refused:
            await new.peers.join("127.0.0.1", one.port)
        assert getattr(refused.value, "kind", "") == Kind.NOT_READY
        asked: list[int] = []

        async def admit(card: Card) -> Admitted | Refusal:
            asked.append(card.client_port)
            return Admitted(4, b"x" * 100_000) if len(asked) == 1 else Refusal(Kind.CLUSTER, "It is full.")

        one.peers.admit = admit
        card, admitted = await new.peers.join("127.0.0.1", one.port)
        assert (card.client_port, admitted) == (1, Admitted(4, b"x" * 100_000))
        with pytest.raises(PeerRefusedError, match=r"It is full\."):
            await new.peers.join("127.0.0.1", one.port)
        assert asked == [9, 9]
        assert not one.membership.met_cards, "who asks is no peer yet"


async def test_peers_starting_node_is_told_to_wait() -> None:
    """Before a node takes links, who wants one is told it is still starting, and nothing is logged."""
    async with process(1) as one, process(2) as two:
        with pytest.raises(PeerRefusedError, match="is still starting") as refused:
            await one.peers._dial("127.0.0.1:2", "127.0.0.1", two.port, Purpose.LINK)
        assert getattr(refused.value, "kind", "") == Kind.NOT_READY


@pytest.mark.parametrize("refuser", [0, 1])
async def test_peers_refusals_are_logged_once(refuser: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever refuses, both sides log the sentence, once however often it is tried."""
    caplog.set_level(logging.WARNING)
    async with process(1) as one, process(2) as two:
        pair = (one, two)
        other = pair[1 - refuser].membership.card().hex_id
        pair[refuser].membership.refused[other] = Refusal(Kind.WIPED, "You were wiped.")
        for _ in range(3):
            with pytest.raises(PeerRefusedError, match=r"You were wiped\."):
                await one.peers.introduce(two.address)
        await until(lambda: caplog.text.count("You were wiped.") >= 2)
    assert caplog.text.count("You were wiped.") == 2


async def test_peers_another_secret_is_refused() -> None:
    """Different secrets, and a secret against none, end in the same clear sentence."""
    async with process(1) as one, process(2, secret=b"") as two, process(3, secret=b"x" * 16) as three:
        for other in (two, three):
            with pytest.raises(PeerRefusedError, match="give every node the same cluster_secret_file"):
                await one.peers.introduce(other.address)
            with pytest.raises(PeerRefusedError, match="give every node the same cluster_secret_file"):
                await other.peers.introduce(one.address)


async def test_peers_without_secret_speak_to_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret neither a dialler nor a dialled address beyond this machine is spoken to."""
    async with process(1, secret=b"") as one, process(2, secret=b"") as two:
        await one.peers.introduce(two.address)
        monkeypatch.setattr(dial, "is_local", lambda stream: False)
        with pytest.raises(PeerRefusedError, match="Without a cluster secret a node speaks to loopback"):
            await one.peers.introduce(two.address)
        stream = await trio.open_tcp_stream("127.0.0.1", two.port)
        async with stream:
            said = await stream.receive_some()
        assert b"loopback addresses only" in said


async def test_peers_wrong_node_behind_an_address() -> None:
    """When another node answers at a listed address, it is not taken for the listed one."""
    async with process(1) as one, process(2) as two:
        with pytest.raises(PeerRefusedError, match=r"127\.0\.0\.1:2 answers there"):
            await one.peers.introduce(Address("127.0.0.1", 3, two.port))


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", bytes(100), b"\xff" * 100, b""],
    ids=["http", "redis", "zeros", "ones", "nothing"],
)
async def test_peers_garbage_is_cut_off(garbage: bytes) -> None:
    """Who speaks something else is not answered and cut off, and peers go on meeting."""
    async with process(1) as one, process(2) as two:
        stream = await trio.open_tcp_stream("127.0.0.1", two.port)
        with trio.fail_after(20), suppress(trio.BrokenResourceError):  # cut off before all was read
            async with stream:
                if garbage:
                    await stream.send_all(garbage)
                await stream.send_eof()
                assert await stream.receive_some() == b""
        await one.peers.introduce(two.address)


async def test_peers_silent_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When connections that prove nothing are many, the oldest is cut off, and peers get in."""
    monkeypatch.setattr(peers, "HANDSHAKES_MAX", 2)
    async with process(1) as one, process(2) as two:
        silent = [await trio.open_tcp_stream("127.0.0.1", two.port) for _ in range(2)]
        await until(lambda: len(two.peers._unproven) == 2)
        await one.peers.introduce(two.address)
        with trio.fail_after(20):
            assert await silent[0].receive_some() == b""
        await until(lambda: len(two.peers._unproven) == 1)
        for stream in silent:
            await stream.aclose()


async def test_peers_silent_connections_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is cut off by time-out."""
    monkeypatch.setattr(dial, "HANDSHAKE_TIMEOUT_MS", 100)
    async with process(2) as two:
        stream = await trio.open_tcp_stream("127.0.0.1", two.port)
        async with stream:
            with trio.fail_after(20):
                assert await stream.receive_some() == b""
        assert not two.peers._unproven


async def test_peers_unreachable_is_an_os_error() -> None:
    """A port nobody listens on is an OSError: the world's fault, to be tried again."""
    async with process(1) as one:
        async with process(2) as two:
            pass
        with pytest.raises(OSError, match="connect"):
            await one.peers.introduce(two.address)


async def test_peers_port_in_use_is_one_sentence() -> None:
    """A peer port that is taken is named, with what to do."""
    async with process(1) as one:
        second = Peers(one.reactor, one.membership, secret=b"", queue_bytes_max=1)
        with pytest.raises(AddressError, match=rf"Peer port {one.port} on 127\.0\.0\.1 is in use: stop"):
            await second.listen("127.0.0.1", one.port)
