"""A front end on a fake node, driven cycle by cycle, with clients on real TCP connections."""

from __future__ import annotations

import io
import socket
import time
from types import TracebackType
from typing import Any

from redraft.server.connection import Connection, format_address
from redraft.server.encode import encode_request
from redraft.server.frontend import FrontEnd
from redraft.server.port import Port
from redraft.transport.reactor import Reactor
from tests.commands.oracle import read_reply
from tests.server.fakenode import FakeNode

PATIENCE_S = 10.0
"""How long anything may take before a test fails."""


class Client:
    """The client's end of a connection."""

    def __init__(self, site: Site, port: Port) -> None:
        self._site = site
        listener = socket.create_server(("127.0.0.1", 0))
        self.sock = socket.create_connection(listener.getsockname())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs, address = listener.accept()
        listener.close()
        connection = site.front.adopt(theirs, format_address(address), port)
        self.connection: Connection = connection  # type: ignore[assignment]
        self.sock.setblocking(False)
        self.received = b""

    def send(self, data: bytes) -> None:
        """Send all of it, with the server's help."""
        view = memoryview(data)
        give_up = time.monotonic() + PATIENCE_S
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                assert time.monotonic() < give_up, "the server does not read"
            self._site.cycle()

    def read(self) -> bytes:
        """Everything that is there now."""
        self._site.cycle()
        while True:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                break
            self.received += data
            self._site.cycle()
        return self.received

    def expect(self, data: bytes) -> None:
        """Assert that exactly these bytes come next, and nothing else."""
        give_up = time.monotonic() + PATIENCE_S
        while len(self.read()) < len(data) and time.monotonic() < give_up:
            pass
        received, self.received = self.received, b""
        assert received == data, received[:300]

    def ask(self, *words: bytes | str) -> bytes:
        """Send one request; return its reply as it came."""
        self.send(request(*words))
        return self.reply()

    def reply(self) -> bytes:
        """The next whole reply as it came."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            data = self.read()
            size = whole_reply(data)
            if size:
                self.received = data[size:]
                return data[:size]
        raise AssertionError(f"no reply, only {self.received!r}")

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        self._site.cycle()
        return self.connection.closed


def request(*words: bytes | str) -> bytes:
    """A request of these words."""
    return encode_request([word.encode() if isinstance(word, str) else word for word in words])


def whole_reply(data: bytes) -> int:
    """The size of the reply that `data` begins with, 0 while it is unfinished."""
    stream = io.BytesIO(data)
    try:
        read_reply(stream)
    except AssertionError:
        return 0
    return stream.tell() if stream.tell() <= len(data) and data[: stream.tell()].endswith(b"\r\n") else 0


class Site:
    """A fake node (one made of `settings` if there is none), its front end and their reactor."""

    def __init__(self, node: FakeNode | None = None, **settings: Any) -> None:
        self.node = node or FakeNode(**settings)
        self.reactor = Reactor()
        self.reactor.add_flush(self._flush_node)
        self.front = FrontEnd(self.node, self.reactor)
        self.clients: list[Client] = []
        self.prompt = False

    def _flush_node(self) -> None:
        """A held node carries out in each cycle what it was given before, if it is to."""
        if self.prompt:
            self.node.release()

    def cycle(self) -> None:
        """Do what is to do."""
        while self.reactor.cycle():
            pass

    def tick(self, ms: float = 100.0) -> None:
        """Let time pass."""
        self.node.clock_ms += ms
        self.front.tick()
        self.cycle()

    def client(self, port: Port | None = None) -> Client:
        """Connect, to the client port if not told otherwise."""
        client = Client(self, port or self.front.client_port)
        self.clients.append(client)
        return client

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.sock.close()
        self.front.close()
        self.reactor.close()
