"""A link: one established, authenticated, first-in-first-out connection to one peer process.

Owns the socket and the bytes on their way.  Sending queues; `flush` (once per reactor cycle) sends
all that was queued in one call.  Receiving drains the socket and hands each message on, in order.
Invariants: once closed, no message is delivered and nothing is sent; frames queued then are lost, as
a network loses them.  `on_close` is called exactly once after that, from the reactor and never from
within `send`, `flush` or `close`, so that who calls these need not expect it.  A peer that does not
read is cut off at `queue_bytes_max` (beside the largest frame that waits, or a link would be cut for
what its node has to say, and again with the next link), a peer that breaks the grammar at once.

Must not know what a message means, who else is linked, or how the connection came about.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP

from redraft.transport.frames import URGENT, Frame, FrameError, Message, encode
from redraft.transport.reactor import Reactor
from redraft.transport.receiver import Messages, Receiver
from redraft.transport.sendqueue import SendQueue

MASK = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR
RECEIVE_BYTES = 64 * 1024
"""One read of the socket, where no large frame asks for more."""
CYCLE_BYTES_MAX = 4 * 1024 * 1024
"""Read from one peer in one cycle, before the others have their turn."""
JOIN_BYTES_MAX = 64 * 1024
"""Up to here pieces are joined to be sent; above, they are handed to the kernel one by one."""
UNSENT_BYTES_MAX = 1024 * 1024
"""What the kernel may hold unsent: an urgent frame has to wait for it."""
USER_TIMEOUT_MS = 10_000
"""A peer whose kernel acknowledges nothing for so long is gone, whatever TCP would still try."""


_sessions = itertools.count(1)


class Link:
    """The sending and receiving end of one connection, driven by a reactor.

    `node_id` and `incarnation` are the peer's; `session` is a number no other link of this process has.
    """

    __slots__ = (
        "_blocked",
        "_largest",
        "_on_close",
        "_on_message",
        "_queue",
        "_queue_bytes_max",
        "_reactor",
        "_receiver",
        "_socket",
        "bytes_received",
        "bytes_sent",
        "closed",
        "incarnation",
        "node_id",
        "session",
    )

    def __init__(
        self,
        connection: socket.socket,
        *,
        node_id: int,
        incarnation: int,
        reactor: Reactor,
        on_message: Callable[[int, int, Message], None],
        on_close: Callable[[Link, str], None],
        queue_bytes_max: int,
    ) -> None:
        """Takes over `connection`; calls `on_message` with the peer's node id, a group and a message."""
        self.node_id = node_id
        self.incarnation = incarnation
        self.session = next(_sessions)
        self.closed = False
        self.bytes_sent = 0
        self.bytes_received = 0
        self._socket = connection
        self._reactor = reactor
        self._on_message = on_message
        self._on_close = on_close
        self._queue_bytes_max = queue_bytes_max
        self._queue = SendQueue()
        self._receiver = Receiver()
        self._blocked = False
        self._largest = 0  # bytes of the largest frame added since the queue was empty
        _prepare(connection)
        reactor.register(connection.fileno(), self._ready, MASK)

    @property
    def queued_bytes(self) -> int:
        """Bytes not yet given to the kernel."""
        return self._queue.queued_bytes

    def send(self, group: int, message: Message) -> None:
        """Queue a message for the next `flush`; URGENT ones overtake the others, not each other."""
        self.send_frame(encode(group, message), type(message) in URGENT)

    def send_frame(self, frame: Frame, urgent: bool = False) -> None:
        """Queue an encoded message, which may be the same one for several links."""
        if self.closed:
            return
        before = self._queue.queued_bytes
        if before - self._largest > self._queue_bytes_max:
            self.close(f"the peer reads too slowly: {before} bytes wait")
            return
        self._queue.add(frame, urgent)
        size = self._queue.queued_bytes - before
        if size > self._largest or not before:
            self._largest = size

    def flush(self) -> None:
        """Send what was queued, as far as the socket takes it."""
        if self._queue.queued_bytes and not self._blocked and not self.closed:
            self._send()

    def close(self, reason: str) -> None:
        """End the link; a second call does nothing."""
        if self.closed:
            return
        self.closed = True
        self._reactor.unregister(self._socket.fileno())
        self._socket.close()
        self._queue = SendQueue()
        self._reactor.call_soon(lambda: self._on_close(self, reason))

    def _send(self) -> None:
        queue = self._queue
        while True:
            pieces = queue.take()
            if not pieces:
                return
            size = sum(map(len, pieces))
            try:
                if len(pieces) == 1:
                    count = self._socket.send(pieces[0])
                elif size <= JOIN_BYTES_MAX:
                    count = self._socket.send(b"".join(pieces))
                else:
                    count = self._socket.sendmsg(pieces)
            except BlockingIOError:
                self._blocked = True
                return
            except OSError as error:
                self.close(f"sending failed: {error.strerror or error}")
                return
            self.bytes_sent += count
            queue.sent(count)
            if count < size:
                self._blocked = True
                return

    def _ready(self, events: int) -> None:
        if events & EPOLLOUT and self._blocked:
            self._blocked = False
            self._send()
        if events & (EPOLLIN | ENDING) and not self.closed:
            self._receive(ending=bool(events & ENDING))

    def _receive(self, *, ending: bool) -> None:
        left = CYCLE_BYTES_MAX
        while True:
            try:
                count, size, messages = self._receive_once()
            except BlockingIOError:
                return
            except FrameError as error:
                self.close(f"the peer does not keep to the protocol: {error}")
                return
            except OSError as error:
                self.close(f"receiving failed: {error.strerror or error}")
                return
            if not count:
                self.close("the peer closed the connection")
                return
            self.bytes_received += count
            for group, message in messages:
                self._on_message(self.node_id, group, message)
                if self.closed:
                    return
            left -= count
            if count < size and not ending:
                return  # drained: what comes later is a new edge
            if left <= 0:
                self._reactor.modify(self._socket.fileno(), MASK)  # reported once more in the next cycle
                return

    def _receive_once(self) -> tuple[int, int, Messages]:
        """One read: bytes read, bytes asked for, messages completed."""
        receiver = self._receiver
        room = receiver.room
        if room is not None:
            count = self._socket.recv_into(room)
            return count, len(room), receiver.filled(count) if count else []
        size = max(RECEIVE_BYTES, receiver.wanted_bytes)
        data = self._socket.recv(size)
        return len(data), size, receiver.receive(data) if data else []


def _prepare(connection: socket.socket) -> None:
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
