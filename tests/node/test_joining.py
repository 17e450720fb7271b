"""Joining over real peers: by client or peer port, asked again until decided, refused in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.control.topology import Join, apply
from redraft.node import joining
from redraft.node.bootstrap import Bootstrap, Configuration
from redraft.node.identity import DataDirectory
from redraft.node.joining import encode_charter, join
from redraft.transport.handshake import Admitted, Card, Kind, Refusal, Stage
from redraft.transport.peers import Peers
from redraft.transport.reactor import Reactor
from tests.node.test_founding import free_ports


class Process:
    """One node's directory, bootstrap and peers."""

    def __init__(self, path: Path, own: Address, *, joins: bool) -> None:
        self.reactor = Reactor()
        self.directory = DataDirectory.open(path)
        self.own = own
        self.bootstrap = Bootstrap(
            self.directory,
            own=own,
            primary_port=1,
            replica_port=2,
            cluster=(own,),
            groups=2,
            replication_factor=3,
            joins=joins,
        )
        self.peers = Peers(self.reactor, self.bootstrap, secret=b"0123456789abcdef", queue_bytes_max=1)
        self.asked: list[Card] = []

    async def admit(self, card: Card) -> Admitted | Refusal:
        """What the topology group would say."""
        self.asked.append(card)
        if len(self.asked) == 1:
            return Refusal(Kind.NOT_READY, "The topology group has no leader.")
        command = Join(
            card.hex_id, card.host, card.client_port, card.primary_port, card.replica_port, card.peer_port
        )
        topology, answer = apply(self.bootstrap.roster.topology, command, 7)
        if not isinstance(answer, int):
            return Refusal(Kind.CLUSTER, answer.reason)
        return Admitted(answer, encode_charter(self.bootstrap.charter(topology)))

    def close(self) -> None:
        self.directory.close()
        self.reactor.close()


async def with_member(tmp_path: Path, then: Callable[[Process, int], Awaitable[None]]) -> None:
    """Run a cluster of one that admits, and do something beside it; `then` gets a free port too."""
    ports = await free_ports(2)
    member = Process(tmp_path / "member", Address("127.0.0.1", 7001, ports[0]), joins=False)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(member.peers.listen, "127.0.0.1", ports[0])
            member.peers.admit = member.admit
            with trio.fail_after(20):
                await then(member, ports[1])
            nursery.cancel_scope.cancel()
    finally:
        member.close()


@pytest.mark.parametrize("by", ["client port", "peer port"])
async def test_join_makes_a_member_that_knows_its_cluster(
    tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not ready is asked again; then id, first configuration and topology are on disk."""
    monkeypatch.setattr(joining, "DIAL_BACKOFF_FIRST_MS", 1)

    async def then(member: Process, port: int) -> None:
        target = Address("127.0.0.1", member.own.peer_port)
        if by == "client port":
            target = Address("127.0.0.1", 7001, member.own.peer_port)
        new = Process(tmp_path / "new", Address("127.0.0.1", 7002, port), joins=True)
        configuration = await join(new.bootstrap, new.peers, target)
        new.close()
        assert len(member.asked) == 2
        assert configuration.node_id == 2
        assert configuration.topology == member.bootstrap.configuration.topology
        assert configuration.cluster_id == member.bootstrap.configuration.cluster_id
        again = Process(tmp_path / "new", Address("127.0.0.1", 7002, port), joins=False)
        restarted: Configuration = again.bootstrap.configuration
        assert restarted == configuration
        assert [node.node_id for node in again.bootstrap.roster.topology.nodes] == [1, 2]
        assert again.bootstrap.card().node_id == 2
        again.close()

    await with_member(tmp_path, then)


async def test_join_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """What the cluster says against it ends the start."""

    async def then(member: Process, port: int) -> None:
        new = Process(tmp_path / "new", member.own._replace(given_peer_port=port), joins=True)
        with pytest.raises(PeerRefusedError, match="is the address of node 1"):
            await join(new.bootstrap, new.peers, member.own)
        assert new.bootstrap.stage == Stage.NEW
        new.close()

    await with_member(tmp_path, then)


async def test_join_of_a_node_that_has_a_cluster_is_refused(tmp_path: Path) -> None:
    """A founded node is asked nothing: its directory says where it belongs."""

    async def then(member: Process, port: int) -> None:
        other = Process(tmp_path / "other", Address("127.0.0.1", 7002, port), joins=False)
        with pytest.raises(PeerRefusedError, match="belongs to a cluster already"):
            await other.peers.join("127.0.0.1", member.own.peer_port)
        restarted = Process(tmp_path / "third", Address("127.0.0.1", 7003, port), joins=False)
        restarted.close()
        again = Process(tmp_path / "third", Address("127.0.0.1", 7003, port), joins=True)
        assert not again.bootstrap.joins
        assert again.bootstrap.formed
        again.close()
        other.close()

    await with_member(tmp_path, then)
