"""The oracle: a real redis-server, and the comparison of its replies with those of our executors.

Owns the server process, the raw connection to it and the comparison of replies byte for byte.
Times differ between two machines by the moment of asking: replies to questions about time are
compared with a tolerance, everything else exactly.  Our executors are compared with each other
without any tolerance: replies, and what is left behind.
"""

from __future__ import annotations

import io
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, settings

from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from tests.commands.executors import Executor, Outcome, Requests, encode, executed, new_context, sequenced
from tests.commands.parameters import EXAMPLES, TIMEOUT_S

TRIES = 3
"""Redis's clock goes on within a sequence, ours does not: on a machine that stalls a key expires there."""
TOLERANCE = {b"ttl": 1, b"pttl": 2000, b"expiretime": 2, b"pexpiretime": 2000}


def read_reply(stream: BinaryIO) -> bytes:
    """Return one whole reply as it came."""
    line = stream.readline()
    assert line.endswith(b"\r\n"), "the oracle closed the connection"
    kind, rest = line[:1], line[1:-2]
    if kind in b"$=":
        return line + (stream.read(int(rest) + 2) if int(rest) >= 0 else b"")
    if kind in b"*~>%":
        items = max(int(rest), 0) * (2 if kind == b"%" else 1)
        return line + b"".join(read_reply(stream) for _ in range(items))
    return line


class Oracle:
    """A redis-server of its own, without persistence, a connection to it, and who is compared with it."""

    def __init__(self, executors: Sequence[Executor] = ()) -> None:
        self.executors = executors
        self.sequences = 0
        """Compared so far."""
        self.requests = 0
        """In them."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--bind", "127.0.0.1",
             "--databases", "1", "--dir", "/tmp", "--rdbcompression", "no", "--enable-debug-command", "yes"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"Ready to accept connections" in line:
                break
        else:
            raise AssertionError("redis-server did not start")
        self._socket = socket.create_connection(("127.0.0.1", self.port))
        self._stream = self._socket.makefile("rb")
        self.proto = 2

    def ask(self, words: Sequence[bytes]) -> bytes:
        """Return the reply to one request."""
        self._socket.sendall(encode(words))
        return read_reply(self._stream)

    def reset(self, proto: int) -> None:
        """Delete all keys; speak `proto` from now on."""
        self.ask([b"FLUSHALL"])
        if proto != self.proto:
            self.ask([b"HELLO", b"%d" % proto])
            self.proto = proto

    def answers(self, requests: Requests, proto: int) -> list[bytes]:
        """Return the replies to requests that find no keys."""
        self.reset(proto)
        return [self.ask(request) for request in requests]

    def close(self) -> None:
        """Stop the server; close the executors."""
        for executor in self.executors:
            executor.close()
        self._stream.close()
        self._socket.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def now_ms() -> int:
    """Return the time, which the oracle goes by."""
    return time.time_ns() // 1_000_000


def context(*, fast: bool = True) -> Context:
    """Return a context for an empty keyspace of all slots, over a hash engine, set for writing."""
    ctx = new_context(fast=fast)
    ctx.begin(now_ms=now_ms(), write=True)
    return ctx


def run(ctx: Context, requests: Requests, proto: int) -> list[bytes]:
    """Execute requests as one batch; a handler that raised is a failure."""
    ctx.begin(now_ms=now_ms(), write=True)
    return executed(ctx, requests, proto)


def execute_one(ctx: Context, words: Sequence[bytes]) -> bytes:
    """Return the reply to one request, as `ctx` is set."""
    return execute_batch(ctx, encode(words), [(1, ctx.proto)])[0]


def _same(name: bytes, ours: bytes, theirs: bytes) -> bool:
    if ours == theirs:
        return True
    tolerance = TOLERANCE.get(name)
    if tolerance is None or not (ours[:1] == theirs[:1] == b":"):
        return False
    a, b = int(ours[1:]), int(theirs[1:])
    return min(a, b) >= 0 and abs(a - b) <= tolerance


def items_of(replies: bytes) -> list[bytes]:
    """The replies that stand one behind the other."""
    stream, items = io.BytesIO(replies), []
    while stream.tell() < len(replies):
        items.append(read_reply(stream))
    return items


UNORDERED = frozenset((
    b"keys", b"hgetall", b"hkeys", b"hvals", b"smembers", b"sinter", b"sunion", b"sdiff", b"spop",
    b"srandmember", b"zrandmember",
))  # fmt: skip
"""Commands whose replies list things in no order that anybody may rely on."""


SCANS = frozenset((b"scan", b"hscan", b"sscan", b"zscan"))
"""Commands that give a cursor before such a list."""


def _in_any_order(name: bytes, reply: bytes) -> bytes:
    if name in SCANS and reply[:1] == b"*":
        cursor, found = items_of(reply.partition(b"\r\n")[2])
        return cursor + _sorted(found)
    return _sorted(reply) if name in UNORDERED and reply[:1] in b"*~%" else reply


def _sorted(reply: bytes) -> bytes:
    header, _, rest = reply.partition(b"\r\n")
    return header + b"".join(sorted(items_of(rest)))


Known = Callable[[Sequence[bytes], bytes], bytes]
"""(request, reply) -> what both sides have to say alike of the reply."""


def without_small_sets(request: Sequence[bytes], reply: bytes) -> bytes:
    """`known` where there are sets: Redis 7.0 has no small ones of anything but integers, 7.2 has."""
    return reply.replace(b"$8\r\nlistpack", b"$9\r\nhashtable") if request[0] == b"OBJECT" else reply


def compare(
    oracle: Oracle,
    requests: Requests,
    proto: int,
    known: Known = lambda _request, reply: reply,
) -> None:
    """Send requests to the oracle and to all executors; every reply, made `known`, has to be the same."""
    for tries_left in reversed(range(TRIES)):
        began_ms = now_ms()
        theirs = oracle.answers(requests, proto)
        sequence = sequenced(requests, proto, began_ms)
        first = oracle.executors[0].carry_out(sequence)
        difference = _difference(requests, first.replies, theirs, known)
        if not difference:
            break
        assert tries_left, difference
    for executor in oracle.executors[1:]:
        ours = executor.carry_out(sequence)
        if ours != first:
            _check_alike(executor.name, requests, ours, first, theirs)
    oracle.sequences += 1
    oracle.requests += len(requests)


def _difference(
    requests: Requests, ours: Sequence[bytes], theirs: Sequence[bytes], known: Known
) -> str | None:
    """Say where replies differ."""
    for number, (request, our, their) in enumerate(zip(requests, ours, theirs, strict=True)):
        if our == their:
            continue
        name = request[0].lower()
        our, their = known(request, _in_any_order(name, our)), known(request, _in_any_order(name, their))
        if not _same(name, our, their):
            return f"{requests[: number + 1][-6:]}: ours {our!r}, Redis's {their!r}"
    return None


def _check_alike(
    executor: str, requests: Requests, ours: Outcome, first: Outcome, theirs: Sequence[bytes]
) -> None:
    """Assert that an executor did what the first one did, which is what Redis did."""
    for number, (our, its, their) in enumerate(zip(ours.replies, first.replies, theirs, strict=True)):
        assert our == its, (
            f"{executor}: {requests[: number + 1][-6:]}: {our!r}, the first's {its!r}, Redis's {their!r}"
        )
    for name, our, its in zip(ours._fields, ours, first, strict=True):
        assert our == its, f"{executor}: {name} behind {requests!r}"


def requests_of(script: str) -> list[list[bytes]]:
    """Return the requests of a script: `|` and line ends divide them, {} is an empty word, {sp} a space."""
    lines = [line.strip() for line in script.replace("\n", "|").split("|")]
    return [
        [word.replace("{sp}", " ").replace("{}", "").encode() for word in line.split()]
        for line in lines
        if line
    ]


_GENERATED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def generated(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test of generated sequences of requests."""
    return pytest.mark.timeout(TIMEOUT_S)(_GENERATED(test))


def started(executors: Sequence[Executor] = ()) -> Iterator[Oracle]:
    """Yield an oracle, and stop it afterwards."""
    oracle = Oracle(executors)
    yield oracle
    oracle.close()
