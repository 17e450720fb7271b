"""Reads sent to a node that is stopped, which it finds in its sockets when it goes on.

They began after other nodes had elected a new leader and acknowledged new writes: a node that answers
them from what it still has in memory, before it hears that it leads no more, answers stale.  Raw
sockets, because a client library would first wait for a greeting.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import hiredis

from redraft.simulation.history import Kind, Operation, Outcome
from tests.cluster.ports import HOST

REPLY_S = 20.0
RECEIVE_BYTES = 65_536


class LateReads:
    """Sockets with one read of each key on its way in each."""

    def __init__(self, port: int, keys: Sequence[str]) -> None:
        self._port = port
        self._keys = keys
        self._sent: list[tuple[float, socket.socket]] = []

    def send(self) -> None:
        """Open one more connection and send the reads on it."""
        connection = socket.create_connection((HOST, self._port), REPLY_S)
        self._sent.append((time.monotonic(), connection))
        connection.sendall(b"".join(b"GET %s\r\n" % key.encode() for key in self._keys))

    def collect(self) -> list[Operation]:
        """Read all answers; errors and closed connections count as reads that did not happen."""
        operations: list[Operation] = []
        for start, connection in self._sent:
            with connection:
                operations.extend(self._answers(start, connection))
        self._sent.clear()
        return operations

    def _answers(self, start: float, connection: socket.socket) -> list[Operation]:
        reader = hiredis.Reader()
        answered: list[Operation] = []
        while len(answered) < len(self._keys):
            received = connection.recv(RECEIVE_BYTES)
            if not received:
                break
            reader.feed(received)
            while (reply := reader.gets()) is not False:
                key = self._keys[len(answered)]
                read = Operation(key, Kind.READ, None, start, time.monotonic(), session=-1)
                if reply is None or isinstance(reply, bytes):
                    read.outcome = Outcome.OK
                    read.result = None if reply is None else reply.decode()
                answered.append(read)
        return answered
