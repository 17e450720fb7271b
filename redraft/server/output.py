"""Replies on their way to a client's socket, and what waits when the client does not read.

Owns: the queue behind one socket.  Always true: bytes leave in the order they were given; while
nothing waits a reply costs one send and no queue.  A client that is over its limit is the caller's
to cut; the counts here say so.
"""

from __future__ import annotations

import socket
from collections import deque

from redraft.server.limits import SEND_PIECES


class Output:
    """The sending half of a connection; `waiting` is the bytes not yet taken by the kernel."""

    __slots__ = ("_queue", "_send", "_sock", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send = sock.send
        self._queue: deque[memoryview | bytes] = deque()
        self.waiting = 0

    @property
    def pieces(self) -> int:
        """How many replies (or rests of replies) wait."""
        return len(self._queue)

    def write(self, data: bytes) -> None:
        """Send, or queue what the socket does not take; raises OSError when the connection is broken."""
        if self.waiting:
            self._queue.append(data)
            self.waiting += len(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self._queue.append(memoryview(data)[sent:])
            self.waiting = len(data) - sent

    def drain(self) -> None:
        """Send what waits, as far as the socket takes it; raises OSError when the connection is broken."""
        queue = self._queue
        while queue:
            pieces = [queue[at] for at in range(min(len(queue), SEND_PIECES))]
            try:
                sent = self._sock.sendmsg(pieces)
            except BlockingIOError:
                return
            self.waiting -= sent
            while sent:
                first = queue[0]
                if sent < len(first):
                    queue[0] = memoryview(first)[sent:]
                    return
                sent -= len(first)
                queue.popleft()
            while queue and not len(queue[0]):
                queue.popleft()
