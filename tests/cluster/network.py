"""A network between the nodes that can be cut, one direction of one pair at a time.

Every node is told, for each peer, the port of a relay of its own instead of the peer's (the cluster
list allows `HOST:PORT@PEERPORT`).  A cut direction holds bytes back, as a network that drops packets
does under TCP: connections stay open, new ones are accepted and nothing comes through; once healed,
what was held back is delivered, late.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from tests.cluster.harness import Command, redraft_command
from tests.cluster.ports import HOST, PEER_DISTANCE

RECEIVE_BYTES = 65_536
START_S = 10.0
Pair = tuple[int, int]


class Network:
    """Relays between `size` nodes, in a thread of their own; `cut` and `heal` take (from, to) pairs."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._listening = {
            (dialer, target): socket.create_server((HOST, 0))
            for dialer in range(size)
            for target in range(size)
            if dialer != target
        }
        self._relays = {pair: listener.getsockname()[1] for pair, listener in self._listening.items()}
        self._ports: Sequence[int] = ()
        self._open: dict[Pair, trio.Event] = {}
        self._started = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope: trio.CancelScope | None = None
        self._thread = threading.Thread(target=lambda: trio.run(self._run), name="network", daemon=True)

    def command(self, *flags: str) -> Command:
        """Return how to start a node whose peers are reached through the relays."""
        plain = redraft_command(*flags)

        def command(number: int, ports: Sequence[int], directory: Path) -> list[str]:
            self._ports = ports
            line = plain(number, ports, directory)
            members = [
                f"{HOST}:{port}" if other == number else f"{HOST}:{port}@{self._relays[number, other]}"
                for other, port in enumerate(ports)
            ]
            line[line.index("--cluster") + 1] = ",".join(members)
            return line

        return command

    @contextmanager
    def running(self) -> Iterator[Network]:
        """Relay until the block ends."""
        self._thread.start()
        assert self._started.wait(START_S), "the network did not start"
        try:
            yield self
        finally:
            self._call(self._stop)
            self._thread.join(START_S)

    def cut(self, *pairs: Pair) -> None:
        """Hold back all that the first node of each pair sends to the second."""
        self._call(functools.partial(self._cut, pairs))

    def heal(self) -> None:
        """Let everything through, what was held back first."""
        self._call(self._heal)

    def isolating(self, number: int) -> list[Pair]:
        """Both directions between a node and all others."""
        others = [other for other in range(self._size) if other != number]
        return [pair for other in others for pair in ((number, other), (other, number))]

    def _call(self, function: Callable[[], None]) -> None:
        trio.from_thread.run_sync(function, trio_token=self._token)

    # -- in the network's own thread ------------------------------------------------------------------

    def _cut(self, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            if self._open[pair].is_set():
                self._open[pair] = trio.Event()

    def _heal(self) -> None:
        for gate in self._open.values():
            gate.set()

    def _stop(self) -> None:
        assert self._scope is not None
        self._scope.cancel()

    async def _run(self) -> None:
        for pair in self._listening:
            self._open[pair] = trio.Event()
            self._open[pair].set()
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            for pair, listener in self._listening.items():
                stream = trio.SocketListener(_for_trio(listener))
                relay = functools.partial(self._relay, *pair)
                nursery.start_soon(trio.serve_listeners, relay, [stream])
            self._token = trio.lowlevel.current_trio_token()
            self._started.set()

    async def _relay(self, dialer: int, target: int, accepted: trio.SocketStream) -> None:
        try:
            dialled = await trio.open_tcp_stream(HOST, self._ports[target] + PEER_DISTANCE)
        except OSError:
            await accepted.aclose()
            return
        async with accepted, dialled, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, accepted, dialled, (dialer, target), nursery.cancel_scope)
            nursery.start_soon(self._pump, dialled, accepted, (target, dialer), nursery.cancel_scope)

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, pair: Pair, scope: trio.CancelScope
    ) -> None:
        try:
            while received := await source.receive_some(RECEIVE_BYTES):
                await self._open[pair].wait()
                await sink.send_all(received)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await self._open[pair].wait()  # the end of a connection does not come through a cut network either
        scope.cancel()


def _for_trio(listener: socket.socket) -> trio.socket.SocketType:
    return trio.socket.from_stdlib_socket(listener)
