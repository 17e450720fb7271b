"""The founding over real peers: three nodes that start in any order become one cluster, or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.node.bootstrap import Bootstrap, Configuration
from redraft.node.founding import form
from redraft.node.identity import DataDirectory
from redraft.transport.peers import Peers
from redraft.transport.reactor import Reactor


async def free_ports(count: int) -> list[int]:
    """Ports nobody uses now."""
    listeners = [(await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] for _ in range(count)]
    ports = [int(listener.socket.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        await listener.aclose()
    return ports


async def run_node(
    path: Path, own: Address, cluster: tuple[Address, ...], found: dict[str, Configuration]
) -> None:
    """One node from its data directory to its configuration; its peer port stays open until cancelled."""
    reactor = Reactor()
    directory = DataDirectory.open(path)
    try:
        bootstrap = Bootstrap(
            directory,
            own=own,
            primary_port=1,
            replica_port=2,
            cluster=cluster,
            groups=3,
            replication_factor=3,
        )
        peers = Peers(reactor, bootstrap, secret=b"0123456789abcdef", queue_bytes_max=1)
        async with trio.open_nursery() as nursery:
            await nursery.start(peers.listen, "127.0.0.1", own.peer_port)
            found[own.client] = await form(bootstrap, peers)
    finally:
        directory.close()
        reactor.close()


async def until_found(found: dict[str, Configuration], count: int) -> None:
    """Wait, bounded in real time, until so many nodes have their configuration."""
    with trio.fail_after(20):
        while len(found) < count:
            await trio.lowlevel.checkpoint()


async def make_cluster() -> tuple[Address, ...]:
    """Three addresses with peer ports that are free."""
    return tuple(Address("127.0.0.1", 7000 + n, port) for n, port in enumerate(await free_ports(3)))


async def test_founding_by_three_and_again_by_each(tmp_path: Path) -> None:
    """All find the same configuration; after that each has it at once, without the others."""
    cluster = await make_cluster()
    found: dict[str, Configuration] = {}
    async with trio.open_nursery() as nursery:
        for number in (2, 0, 1):
            nursery.start_soon(run_node, tmp_path / str(number), cluster[number], cluster, found)
        await until_found(found, 3)
        nursery.cancel_scope.cancel()
    assert len({configuration.cluster_id for configuration in found.values()}) == 1
    again: dict[str, Configuration] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_node, tmp_path / "1", cluster[1], cluster, again)
        await until_found(again, 1)
        nursery.cancel_scope.cancel()
    assert again[cluster[1].client] == found[cluster[1].client]


async def test_founding_waits_for_the_last(tmp_path: Path) -> None:
    """Two of three found nothing; when the third comes, all three are done."""
    cluster = await make_cluster()
    found: dict[str, Configuration] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_node, tmp_path / "0", cluster[0], cluster, found)
        nursery.start_soon(run_node, tmp_path / "1", cluster[1], cluster, found)
        await open_until_up(cluster[1].peer_port)
        assert not found
        nursery.start_soon(run_node, tmp_path / "2", cluster[2], cluster, found)
        await until_found(found, 3)
        nursery.cancel_scope.cancel()


async def open_until_up(port: int) -> None:
    """Return once somebody listens there."""
    with trio.fail_after(20):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.lowlevel.checkpoint()
                continue
            await stream.aclose()
            return


async def test_founding_of_a_wiped_node_ends_in_a_sentence(tmp_path: Path) -> None:
    """A node whose directory was emptied ends with what happened and what to do."""
    cluster = await make_cluster()
    found: dict[str, Configuration] = {}
    third = trio.CancelScope()

    async def run_third() -> None:
        with third:
            await run_node(tmp_path / "2", cluster[2], cluster, found)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_node, tmp_path / "0", cluster[0], cluster, found)
        nursery.start_soon(run_node, tmp_path / "1", cluster[1], cluster, found)
        nursery.start_soon(run_third)
        await until_found(found, 3)
        third.cancel()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.RaisesGroup(pytest.RaisesExc(PeerRefusedError, match="was wiped")):
            await run_node(tmp_path / "wiped", cluster[2], cluster, {})
        nursery.cancel_scope.cancel()
