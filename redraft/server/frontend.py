"""The front end: all client connections of a node, its three ports, and the limits they share.

Owns: the listening sockets, the set of connections, the counters INFO shows, whose turn it is.
Driven by the reactor: sockets call back, and `_flush` gives connections that have more their turn.  That is
behind the node's own flush, so that replies and messages of this cycle go out in it; what is taken up then
goes to the node in another cycle, which is asked for.  The node's ticker calls `tick`.

Always true: what all clients' buffers hold together is counted in `bytes_waiting`, what groups have refused
in `again`; while both together, or the node's backlog, are over their limit no client is read; what still
grows is cut, the largest first.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import time
from collections import deque
from contextlib import suppress

from redraft.accel.scan import configure
from redraft.base.config import Config
from redraft.base.errors import AddressError
from redraft.commands.table import scan_table
from redraft.replica.request import Request
from redraft.server import subscriptions, words
from redraft.server.again import Again
from redraft.server.backend import Node, Reactor
from redraft.server.channels import Channels
from redraft.server.connection import EVENTS, Connection, format_address
from redraft.server.leaders import Leaders
from redraft.server.limits import ACCEPTS_PER_TURN, CRON_MS, LEADERS_MS
from redraft.server.migrations import Migrations
from redraft.server.port import ClientPort, Port, PrimaryPort, ReplicaPort
from redraft.server.survey import Survey
from redraft.transport.messages import Published

log = logging.getLogger("redraft.server")


class FrontEnd:
    """See the module.  `now_ms` is the node's clock as of this cycle."""

    def __init__(self, node: Node, reactor: Reactor) -> None:
        configure(scan_table())
        self.node = node
        self.reactor = reactor
        self.config: Config = node.config
        self.now_ms = self.started_ms = node.now_ms()
        self.started_s = time.time()
        self.again = Again(node)
        self.channels = Channels()
        self.migrations = Migrations(node)
        self.leaders = Leaders(node)
        self.survey = Survey(self)
        bulk_max = self.config.proto_max_bulk_len
        self.client_port = ClientPort(self.leaders, bulk_max)
        self.primary_port = PrimaryPort(self.leaders, bulk_max)
        self.replica_port = ReplicaPort(self.leaders, bulk_max)
        self.ports: tuple[Port, ...] = (self.client_port, self.primary_port, self.replica_port)
        self.connections: dict[int, Connection] = {}
        self.paused = False
        self.bytes_waiting = 0
        self.reset_counters()
        self._numbers = 0
        self._listeners: list[tuple[socket.socket, Port]] = []
        self._deaf: list[tuple[socket.socket, Port]] = []
        self._ready: deque[Connection] = deque()
        self._pushed: list[Connection] = []
        self._slow: set[Connection] = set()
        self._cron_ms = self._refreshed_ms = self.now_ms
        reactor.add_flush(self._flush)
        node.clients = self

    def reset_counters(self) -> None:
        """Set the counters of INFO to zero (CONFIG RESETSTAT)."""
        self.commands = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.accepted = 0
        self.rejected = 0
        self.cut_for_output = 0
        self.cut_for_input = 0
        self._sampled = (self.now_ms, 0, 0, 0)
        self.rates = (0, 0.0, 0.0)  # commands/s, KiB in/s, KiB out/s

    # ---- ports ----

    def listen(self) -> None:
        """Bind the three ports and take connections; raises AddressError."""
        config = self.config
        try:
            for port, number in (
                (self.client_port, config.port),
                (self.primary_port, config.primary_port),
                (self.replica_port, config.replica_port),
            ):
                self._listen_on(port, config.host, number)
        except AddressError:
            self.close()
            raise

    def _listen_on(self, port: Port, host: str, number: int) -> None:
        try:
            family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
            listener = socket.create_server((host, number), family=family, backlog=self.config.tcp_backlog)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be bound: {error.strerror}"
            raise AddressError(
                f"The {port.name} address {host}:{number} {reason}; stop what uses it or choose another port."
            ) from error
        listener.setblocking(False)
        self.adopt_listener(listener, port)

    def adopt_listener(self, listener: socket.socket, port: Port) -> None:
        """Take connections from a listening, non-blocking socket."""
        self._listeners.append((listener, port))
        self._hear(listener, port)

    def _hear(self, listener: socket.socket, port: Port) -> None:
        def on_event(_mask: int) -> None:
            self._accept(listener, port)

        self.reactor.register(listener.fileno(), on_event, select.EPOLLIN)

    def _accept(self, listener: socket.socket, port: Port) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError as error:  # out of descriptors or memory: try again when some may be free
                log.warning("connections can't be accepted: %s", error.strerror)
                self.reactor.unregister(listener.fileno())
                self._deaf.append((listener, port))
                return
            self.adopt(sock, format_address(address), port)

    def adopt(self, sock: socket.socket, address: str, port: Port) -> Connection | None:
        """Serve a connected socket; None when there are `maxclients` already."""
        self.accepted += 1
        sock.setblocking(False)
        if len(self.connections) >= self.config.maxclients:
            self.rejected += 1
            with suppress(OSError):  # it may be gone already
                sock.send(words.MAX_CLIENTS)
            sock.close()
            return None
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.config.tcp_keepalive:
                _keep_alive(sock, self.config.tcp_keepalive)
        self._numbers += 1
        connection = Connection(self, port, sock, address, self._numbers)
        self.connections[connection.number] = connection
        self.reactor.register(connection.fd, connection.on_event, EVENTS)
        return connection

    # ---- turns ----

    def later(self, connection: Connection) -> None:
        """Give a connection its turn in the next flush."""
        if not connection.queued:
            connection.queued = True
            self._ready.append(connection)
            self.reactor.wake()

    def _flush(self) -> None:
        self.now_ms = self.node.now_ms()
        self.paused = self.node.overloaded or self._over_total(self.again.bytes_waiting)
        if self.again.waiting and self.again.look():
            self.reactor.wake()
        ready = self._ready
        if ready and not self.paused:
            self.reactor.wake()
            for _ in range(len(ready)):
                connection = ready.popleft()
                connection.queued = False
                connection.advance()
        if self._pushed:
            pushed, self._pushed = self._pushed, []
            for connection in pushed:
                connection.send_pushed()
        self.survey.turn()

    def _over_total(self, others: int = 0) -> bool:
        limit = self.config.maxmemory_clients
        return 0 < limit < self.bytes_waiting + others

    # ---- channels ----

    def publish(self, message: Published) -> int:
        """Hand a client's message to all who listen, here and elsewhere; returns how often it was here."""
        self.node.publishing.tell(message)
        return self.published(message)

    def published(self, message: Published) -> int:
        """Hand a message to those who listen here; returns how often."""
        tell = self.channels.publish_shard if message.shard else self.channels.publish
        return tell(message.channel, message.message)

    def pushed(self, connection: Connection) -> None:
        """A connection has something to send that is no reply: it goes out at the end of the cycle."""
        if not self._pushed:
            self.reactor.wake()
        self._pushed.append(connection)

    # ---- slots that move ----

    @property
    def waiting(self) -> bool:
        """Whether refused commands wait for their slots."""
        return self.again.waiting

    def refused(self, request: Request, replies: list[bytes]) -> None:
        """A group does not serve the slots of a request's last commands: they go where they belong."""
        self.again.refused(request, replies)

    def map_changed(self) -> None:
        """The node has another map of slots: go by it from now on."""
        self.refresh()
        self.again.map_changed()
        self.migrations.look()

    def refresh(self) -> None:
        """Go by what the node knows now of groups and who leads them; does nothing if that is as before."""
        if self.leaders.refresh():
            for port in self.ports:
                port.refresh()
            subscriptions.end_moved(self)

    # ---- limits ----

    def slow(self, connection: Connection, added: int) -> None:
        """A connection has replies that its client does not read yet: `added` more bytes."""
        self._slow.add(connection)
        self.bytes_waiting += added
        waiting = connection.waiting_bytes
        hard = self.config.client_output_buffer_limit
        if hard and waiting > hard:
            self.cut(connection, "output buffer limit")
        elif self._over_total():
            self.cut(max(self._slow, key=lambda each: each.waiting_bytes), "memory of all clients")

    def drained(self, connection: Connection) -> None:
        """All replies of a connection are on their way."""
        self._slow.discard(connection)

    def cut(self, connection: Connection, reason: str) -> None:
        """Close a connection that is over a limit."""
        log.warning(
            "client %d at %s cut off: %s (%d bytes of replies, %d of requests)",
            connection.number,
            connection.address,
            reason,
            connection.waiting_bytes,
            connection.unread_bytes,
        )
        if connection.waiting_bytes:
            self.cut_for_output += 1
        else:
            self.cut_for_input += 1
        connection.close()

    def forget(self, connection: Connection, waiting: int) -> None:
        """A connection has ended, with so many bytes unsent."""
        del self.connections[connection.number]
        self._slow.discard(connection)
        self.bytes_waiting -= waiting

    # ---- time ----

    def tick(self) -> None:
        """To be called every few milliseconds: looks for new leaders often, for idle clients seldom."""
        now = self.now_ms = self.node.now_ms()
        if now - self._refreshed_ms >= LEADERS_MS:
            self._refreshed_ms = now
            self.refresh()
        if self._ready or self.again.waiting:
            self.reactor.wake()
        if now - self._cron_ms >= CRON_MS:
            self._cron_ms = now
            self._cron(now)

    def _cron(self, now: float) -> None:
        self._sample(now)
        deaf, self._deaf = self._deaf, []
        for listener, port in deaf:
            self._hear(listener, port)
        soft, seconds = (
            self.config.client_output_buffer_soft_limit,
            self.config.client_output_buffer_soft_seconds,
        )
        for connection in list(self._slow):
            if not soft or connection.waiting_bytes <= soft:
                connection.soft_since_ms = 0.0
            elif not connection.soft_since_ms:
                connection.soft_since_ms = now
            elif now - connection.soft_since_ms > seconds * 1000:
                self.cut(connection, "soft output buffer limit")
        if self._over_total():
            largest = max(
                self.connections.values(),
                key=lambda each: each.waiting_bytes + each.unread_bytes + each.held_bytes,
            )
            self.cut(largest, "memory of all clients")
        idle_ms = self.config.timeout * 1000
        if idle_ms:
            for connection in list(self.connections.values()):
                idle = not connection.busy and connection.subscriptions is None
                if idle and now - connection.last_ms > idle_ms:
                    connection.close()

    def _sample(self, now: float) -> None:
        then, commands, bytes_in, bytes_out = self._sampled
        seconds = max(now - then, 1.0) / 1000
        self._sampled = (now, self.commands, self.bytes_in, self.bytes_out)
        self.rates = (
            round((self.commands - commands) / seconds),
            (self.bytes_in - bytes_in) / 1024 / seconds,
            (self.bytes_out - bytes_out) / 1024 / seconds,
        )

    # ---- settings and the end ----

    def reconfigure(self, config: Config) -> None:
        """Put changed settings in force, here and in the node."""
        self.config = config
        self.node.reconfigure(config)
        for port in self.ports:
            port.limit_bulk(config.proto_max_bulk_len)

    def close(self) -> None:
        """Stop listening and close all connections."""
        for listener, port in self._listeners:
            if (listener, port) not in self._deaf:
                self.reactor.unregister(listener.fileno())
            listener.close()
        self._listeners.clear()
        self._deaf.clear()
        for connection in list(self.connections.values()):
            connection.close()


def _keep_alive(sock: socket.socket, seconds: int) -> None:
    """Have the kernel probe a silent peer, as Redis has it: after `seconds`, then thrice in as long again."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(seconds // 3, 1))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
