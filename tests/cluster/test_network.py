"""The network that can be cut, against an echo server in place of a node."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.network import Network
from tests.cluster.ports import HOST, PEER_DISTANCE, free_client_port

SILENCE_S = 0.1


@pytest.fixture
def relayed() -> Iterator[tuple[Network, int]]:
    """A network of two whose second node echoes, and the port under which the first knows it."""
    first = free_client_port(2)
    network = Network(2)
    command = network.command()
    line = command(0, [first, first + 1], Path("unused"))
    port = int(line[line.index("--cluster") + 1].rpartition("@")[2])
    with socket.create_server((HOST, first + 1 + PEER_DISTANCE)) as server, network.running():
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        yield network, port


def echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while received := connection.recv(1024):
            connection.sendall(received)


@pytest.mark.parametrize("pair", [(0, 1), (1, 0)], ids=["there", "back"])
def test_network_holds_back_a_cut_direction_and_delivers_when_healed(
    relayed: tuple[Network, int], pair: tuple[int, int]
) -> None:
    """Bytes pass, then wait while either direction is cut, then arrive whole and in order."""
    network, port = relayed
    with socket.create_connection((HOST, port), 10) as dialled:
        dialled.sendall(b"before")
        assert dialled.recv(100) == b"before"
        network.cut(pair)
        dialled.sendall(b"during")
        dialled.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            dialled.recv(100)
        dialled.settimeout(10)
        network.heal()
        assert dialled.recv(100) == b"during"
        dialled.sendall(b"after")
        assert dialled.recv(100) == b"after"


def test_network_accepts_connections_while_cut(relayed: tuple[Network, int]) -> None:
    """A peer that dials into a cut network hears nothing, not a refusal, until it is healed."""
    network, port = relayed
    network.cut((0, 1), (1, 0))
    with socket.create_connection((HOST, port), 10) as dialled:
        dialled.sendall(b"hello")
        dialled.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            dialled.recv(100)
        network.heal()
        dialled.settimeout(10)
        assert dialled.recv(100) == b"hello"
