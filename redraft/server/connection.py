"""One client's connection: bytes in, rounds out, replies back in order.

Owns: the socket, what was read and not yet understood, and the connection's state (protocol, name,
reply mode).  Driven by the reactor (edge-triggered: a readable socket is read until it is empty, so a
flag remembers that it is not) and by the completion of rounds.

Always true: at most one round is out, and while it is the socket is not read; commands are taken in
the order received; a command that changes how later ones are read is alone in its turn.  The hot path
is one recv, one scan, one request; one send when it is complete.

Must not know: what commands mean (that is `routing`), what a group is.
"""

from __future__ import annotations

import logging
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from redraft.accel import scan
from redraft.server import inline, subscriptions, transaction, words
from redraft.server.connection_modes import REPLIES_OFF, REPLIES_ON
from redraft.server.limits import BULK_READ_BYTES, READ_BYTES, READS_PER_TURN, ROUNDS_PER_TURN
from redraft.server.output import Output
from redraft.server.rounds import Gather, Split, Whole
from redraft.server.routing import Walk
from redraft.server.unfinished import Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redraft.server.frontend import FrontEnd
    from redraft.server.port import Port
    from redraft.server.subscriptions import Subscriptions
    from redraft.server.transaction import Transaction, Watch

log = logging.getLogger("redraft.server")

EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_HANGUP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_IN = select.EPOLLIN


class Connection:
    """See the module; `number` is CLIENT ID."""

    __slots__ = (
        "_at",
        "_data",
        "_fd",
        "_hung",
        "_output",
        "_pushed",
        "_readable",
        "_recv",
        "_scan",
        "_scanner",
        "_submit",
        "_unfinished",
        "_walk",
        "address",
        "born_ms",
        "busy",
        "closed",
        "closing",
        "confined",
        "front",
        "last_id",
        "last_ms",
        "lib_name",
        "lib_version",
        "name",
        "no_evict",
        "no_touch",
        "number",
        "port",
        "proto",
        "queued",
        "readonly",
        "replies",
        "sock",
        "soft_since_ms",
        "subscriptions",
        "transaction",
        "watch",
    )

    def __init__(self, front: FrontEnd, port: Port, sock: socket.socket, address: str, number: int) -> None:
        self.front = front
        self.port = port
        self.sock = sock
        self.address = address
        self.number = number
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._submit = front.node.submit
        self._output = Output(sock)
        self._pushed: list[bytes] = []  # goes out before the next reply, or at the end of the cycle
        self._readable = False
        self._hung = False
        self._data: bytes | None = None  # read, not yet scanned from _at on
        self._at = 0
        self._unfinished: Unfinished | None = None
        self._walk: Walk | None = None
        self.busy = False
        self.closed = False
        self.closing = False  # to be closed once all replies are sent; reads nothing more
        self.queued = False  # waits for its turn in front.ready
        self.born_ms = self.last_ms = front.now_ms
        self.soft_since_ms = 0.0
        self.last_id = -1
        self.transaction: Transaction | None = None  # the queue between MULTI and EXEC
        self.watch: Watch | None = None
        self.subscriptions: Subscriptions | None = None
        self.confined = False  # to subscribing and the like
        self.reset()

    def reset(self) -> None:
        """What HELLO and CLIENT set is as it was at first (RESET)."""
        self.proto = 2
        self.replies = REPLIES_ON
        self.read_only(on=False)
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.no_evict = False
        self.no_touch = False
        transaction.forget(self)
        subscriptions.forget(self)

    def read_only(self, *, on: bool) -> None:
        """READONLY and READWRITE: what comes from now on may be read here, or may not."""
        self.readonly = on
        self._scanner = self.port.reader if on else self.port.scanner
        self._scan = self._scanner.scan

    # ---- from the reactor ----

    def on_event(self, mask: int) -> None:
        """The socket became readable, writable or broken."""
        if self._output.waiting:
            self._drain()
            if self.closed:
                return
        if mask & _HANGUP:
            self._hung = True  # the end may come with no further event: read on until it
        elif not mask & _IN:
            return
        self._readable = True
        if self.busy:
            if self.closing:
                self._discard()
            return
        front = self.front
        if self._data is not None or self._unfinished is not None or self._walk is not None or front.paused:
            self.advance()
            return
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            self._readable = False
            return
        except OSError as error:
            self._broken(error)
            return
        size = len(data)
        if size < READ_BYTES:
            self._readable = self._hung
            if not size:
                self._ended()
                return
        front.bytes_in += size
        self._start(data, 0)
        if self._readable and not self.busy:
            self.advance()  # the buffer was full: what is behind it makes no event of its own

    # ---- taking commands ----

    def advance(self) -> None:
        """Take up what was read already, then read, until a round is out or there is nothing more."""
        for _ in range(ROUNDS_PER_TURN):
            if self.busy or self.closed or self.closing:
                return
            if self._walk is not None:
                self._go_on_walking(self._walk)
                continue
            data, at = self._data, self._at
            if data is None:
                at = 0
                data = self._receive()
                if data is None:
                    return
            else:
                self._data = None
            self._start(data, at)
        if not self.busy:
            self.front.later(self)

    def _receive(self) -> bytes | None:
        """Read; returns bytes worth a scan, or None (then the reactor or the front end calls again)."""
        front = self.front
        for _ in range(READS_PER_TURN):
            if not self._readable:
                return None
            if front.paused:
                front.later(self)
                return None
            unfinished = self._unfinished
            wanted = READ_BYTES
            if unfinished is not None and unfinished.missing > READ_BYTES:
                wanted = BULK_READ_BYTES
            try:
                data = self._recv(wanted)
            except BlockingIOError:
                self._readable = False
                return None
            except OSError as error:
                self._broken(error)
                return None
            if not data:
                self._ended()
                return None
            if len(data) < wanted:
                self._readable = self._hung
            front.bytes_in += len(data)
            self.last_ms = front.now_ms
            if unfinished is None:
                return data
            whole = self._more(unfinished, data)
            if whole is not None or self.closed:
                return whole
        front.later(self)
        return None

    def _more(self, unfinished: Unfinished, data: bytes) -> bytes | None:
        """Add to the command that is still arriving; returns it once it is whole (or broken)."""
        front = self.front
        whole = unfinished.add(data, self.port.scanner)
        front.bytes_waiting += len(data)
        if len(unfinished) > front.config.client_query_buffer_limit:
            front.cut(self, "query buffer limit")
            return None
        if whole is not None:
            self._unfinished = None
            front.bytes_waiting -= len(whole)
        return whole

    def _start(self, data: bytes, at: int) -> None:
        """Scan what there is and send a round on its way, or keep what is unfinished."""
        front = self.front
        consumed, status, needed, count, group, writes, last_id, cursor, left = self._scan(data, at)
        if not count:
            self._no_command(data, consumed, status, needed, cursor, left)
            return
        if self.readonly and (writes or group < 0 or self.transaction is not None or self.confined):
            # the reader's table is for reads alone; what needs a thought goes by the port's
            consumed, status, needed, count, group, writes, last_id, cursor, left = self.port.scanner.scan(
                data, at
            )
        self.last_id = last_id
        self.last_ms = front.now_ms
        if self.transaction is not None or self.confined:
            group = -1
        front.commands += count
        if consumed != len(data):
            self._data = data
            self._at = consumed
            if group > 0:
                data = data[at:consumed]
        elif at and group > 0:
            data = data[at:]
        self.busy = True
        if group > 0:
            self._submit(Whole(self, group, data, count, self.proto, writes == 1))
        elif group == 0:
            Split(self, *self._scanner.partition(data, at)).submit(self._submit)
        else:
            self.busy = False
            self._go_on_walking(Walk(data, at, self.port))

    def _go_on_walking(self, walk: Walk) -> None:
        """Commands that need a thought: a round of them, or one that is alone in its turn."""
        self._walk = None
        made = walk.next_round(self)
        if not walk.done and not self.closing:
            self._walk = walk
        if made is not None:
            self.busy = True
            made.submit(self._submit)
        elif self._walk is not None and not self.busy:
            self.front.later(self)

    def _no_command(
        self, data: bytes, consumed: int, status: int, needed: int, cursor: int, left: int
    ) -> None:
        if status == scan.OK:
            if consumed < len(data):
                rest = data[consumed:]
                left_from = cursor - consumed
                self._unfinished = Unfinished(rest, needed - consumed, left_from, left)
                self.front.bytes_waiting += len(rest)
            return
        if status != scan.INLINE:
            self._end(words.protocol_error(status, needed))
            return
        try:
            requests, end = inline.translate(data, consumed)
        except inline.UnbalancedError:
            self._end(words.UNBALANCED)
        except inline.LineTooLongError:
            self._end(words.BIG_INLINE)
        else:
            rest = data[end:]
            if end > consumed:
                self._data, self._at = requests + rest, 0
                self.front.later(self)
            elif rest:
                self._unfinished = Unfinished(rest, len(rest) + 1, 0, -1)
                self.front.bytes_waiting += len(rest)

    def _end(self, error: bytes) -> None:
        self.closing = True
        self.reply(error)

    # ---- replies ----

    def gather(
        self,
        questions: Sequence[tuple[int, bytes]],
        *,
        write: bool,
        then: Callable[[list[bytes]], None],
    ) -> None:
        """Ask groups on behalf of the one command that is being carried out; `then` must reply or gather."""
        self.ask(Gather(questions, self.proto, write, then))

    def ask(self, asked: Gather) -> None:
        """Ask groups on behalf of the one command that is being carried out."""
        self.busy = True
        asked.submit(self._submit)

    def answer(self, replies: list[bytes]) -> None:
        """The round is complete: send its replies, then see what else there is."""
        self.busy = False
        if self.closed:
            return
        if self.replies:
            replies = self._unmuted(replies)
            if not replies:
                self._take_turn()
                return
        if self._pushed:
            self._pushed, replies = [], [*self._pushed, *replies]
        data = replies[0] if len(replies) == 1 else b"".join(replies)
        front = self.front
        front.bytes_out += len(data)
        output = self._output
        try:
            output.write(data)
        except OSError as error:
            self._broken(error)
            return
        if output.waiting:
            front.slow(self, min(output.waiting, len(data)))
            if self.closed:
                return
        self._take_turn()

    def push(self, data: bytes) -> None:
        """Send what is no reply: before the next reply, at the latest at the end of this cycle.

        The connection is never closed in this call.
        """
        if self.closed or self.closing:
            return
        if not self._pushed:
            self.front.pushed(self)
        self._pushed.append(data)

    def send_pushed(self) -> None:
        """Send what was pushed and did not go out with a reply."""
        if self._pushed and not self.closed:
            data, self._pushed = b"".join(self._pushed), []
            self.front.bytes_out += len(data)  # from here on as in `answer`, which is too hot for a call
            try:
                self._output.write(data)
            except OSError as error:
                self._broken(error)
                return
            if self._output.waiting:
                self.front.slow(self, min(self._output.waiting, len(data)))

    def _take_turn(self) -> None:
        if self._readable or self._data is not None or self._walk is not None:
            self.front.later(self)

    def reply(self, data: bytes) -> None:
        """Send one command's reply; of a command that is alone in its turn, at any time."""
        self.answer([data])
        if self.closing and not self.closed:
            self.busy = True  # no more commands are taken
            if not self._output.waiting:
                self._discard()
                self.close()

    def _unmuted(self, replies: list[bytes]) -> list[bytes]:
        if self.replies == REPLIES_OFF:
            return []
        self.replies = REPLIES_ON
        return replies[1:]

    def _drain(self) -> None:
        before = self._output.waiting
        try:
            self._output.drain()
        except OSError as error:
            self._broken(error)
            return
        self.front.bytes_waiting -= before - self._output.waiting
        if not self._output.waiting:
            self.soft_since_ms = 0.0
            self.front.drained(self)
            if self.closing:
                self._discard()
                self.close()

    def _discard(self) -> None:
        """Read what came behind the last command: closed with unread bytes, TCP would take back replies."""
        with suppress(OSError):
            for _ in range(READS_PER_TURN):
                if not self._recv(BULK_READ_BYTES):
                    break

    def _ended(self) -> None:
        log.debug("client %d at %s has closed", self.number, self.address)
        self.close()

    def _broken(self, error: OSError) -> None:
        log.debug("client %d at %s is gone: %s", self.number, self.address, error.strerror or error)
        self.close()

    # ---- what others ask ----

    @property
    def waiting_bytes(self) -> int:
        """Reply bytes that the client has not read."""
        return self._output.waiting

    @property
    def waiting_pieces(self) -> int:
        """Replies that the client has not read."""
        return self._output.pieces

    @property
    def unread_bytes(self) -> int:
        """Request bytes that were read and not yet taken."""
        unfinished = len(self._unfinished) if self._unfinished is not None else 0
        return unfinished + (len(self._data) - self._at if self._data is not None else 0)

    @property
    def held_bytes(self) -> int:
        """Bytes of queued commands, watched keys and subscriptions."""
        queued = self.transaction.size if self.transaction is not None else 0
        listening = self.subscriptions.size if self.subscriptions is not None else 0
        return queued + listening + (self.watch.size if self.watch is not None else 0)

    @property
    def local_address(self) -> str:
        """The address the client connected to."""
        return format_address(self.sock.getsockname())

    @property
    def fd(self) -> int:
        """The socket's descriptor."""
        return self._fd

    def close(self) -> None:
        """End the connection; a round that is out is completed into nothing."""
        if self.closed:
            return
        self.closed = True
        front = self.front
        if self._unfinished is not None:
            front.bytes_waiting -= len(self._unfinished)
        transaction.forget(self)
        subscriptions.forget(self)
        self._pushed = []
        front.forget(self, self._output.waiting)
        self._data = self._unfinished = self._walk = None
        front.reactor.unregister(self._fd)
        self.sock.close()


def format_address(address: tuple[object, ...]) -> str:
    """`host:port` as Redis writes it; IPv6 hosts in brackets."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
