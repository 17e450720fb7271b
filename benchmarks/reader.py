"""A load of GETs by a few processes: each connection asks one port for keys that are served there.

Plain sockets, requests made beforehand, values of one size, so that an answer is recognised by its length
alone: a reader costs little beside the servers it measures.  Any other answer ends it.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from benchmarks.load import HOST, LoadError, Rate

PROCESSES = 2
BATCHES = 64
"""How many different requests a connection has; it sends them round and round."""
TIMEOUT_S = 30.0
WARM_UP = 0.2
"""Part of the time before anything counts."""


@dataclass(frozen=True)
class Asker:
    """A connection to be: its port, whether it says READONLY first, and the keys it asks for."""

    port: int
    readonly: bool
    keys: Sequence[bytes]


@dataclass
class _Connection:
    sock: socket.socket
    requests: list[bytes]
    turn: int = 0
    left: int = 0
    sent_s: float = 0.0


@dataclass
class _Tally:
    answers: int = 0
    waits_s: list[float] = field(default_factory=list)


def read(askers: Sequence[Asker], pipeline: int, size: int, seconds: float) -> Rate:
    """Let all ask for so long, each with `pipeline` GETs in flight; raises LoadError."""
    shares = [askers[number::PROCESSES] for number in range(PROCESSES)]
    jobs = [(share, pipeline, size, seconds) for share in shares if share]
    with ProcessPoolExecutor(len(jobs), mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(_ask, jobs))
    waits = sorted(wait for _rate, _answers, some in done for wait in some)
    hundredths = statistics.quantiles(waits, n=100)
    answers = sum(answers for _rate, answers, _some in done)
    return Rate(
        sum(rate for rate, _answers, _some in done), hundredths[49] * 1e3, hundredths[98] * 1e3, answers
    )


def _ask(job: tuple[Sequence[Asker], int, int, float]) -> tuple[float, int, list[float]]:
    """One process's share: answers per second, how many in all, and how long each batch took."""
    askers, pipeline, size, seconds = job
    answer = b"$%d\r\n%b\r\n" % (size, b"x" * size)
    connections = {each.sock.fileno(): each for each in (_connect(asker, pipeline) for asker in askers)}
    poll = select.epoll()
    for fd in connections:
        poll.register(fd, select.EPOLLIN)
    whole, counted, total = len(answer) * pipeline, _Tally(), 0
    for each in connections.values():
        _send(each, whole)
    began = time.perf_counter()
    since, end = began + WARM_UP * seconds, began + (1 + WARM_UP) * seconds
    while (now := time.perf_counter()) < end:
        for fd, _mask in poll.poll(TIMEOUT_S):
            each = connections[fd]
            data = each.sock.recv(each.left)
            if not data or data[:1] == b"-":
                raise LoadError(f"a reader met {data[:100]!r}")
            each.left -= len(data)
            if not each.left:
                if not data.endswith(answer[-len(data) :]):
                    raise LoadError(f"a reader met {data[-200:]!r}")
                total += pipeline
                if now >= since:
                    counted.answers += pipeline
                    counted.waits_s.append(time.perf_counter() - each.sent_s)
                _send(each, whole)
    for each in connections.values():
        each.sock.close()
    return counted.answers / (end - since), total, counted.waits_s


def _connect(asker: Asker, pipeline: int) -> _Connection:
    sock = socket.create_connection((HOST, asker.port), TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if asker.readonly:
        sock.sendall(b"*1\r\n$8\r\nREADONLY\r\n")
        if sock.recv(64) != b"+OK\r\n":
            raise LoadError(f"port {asker.port} does not take READONLY")
    keys, batches = asker.keys, list[bytes]()
    for first in range(0, BATCHES * pipeline, pipeline):
        chosen = (keys[number % len(keys)] for number in range(first, first + pipeline))
        batches.append(b"".join(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key) for key in chosen))
    return _Connection(sock, batches)


def _send(connection: _Connection, expected: int) -> None:
    connection.left, connection.sent_s = expected, time.perf_counter()
    connection.sock.sendall(connection.requests[connection.turn])
    connection.turn = (connection.turn + 1) % len(connection.requests)
