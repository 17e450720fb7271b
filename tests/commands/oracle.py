"""The oracle: a real redis-server, and our executor in the two ways it can run, side by side.

Owns the server process, the raw connection to it and the comparison of replies byte for byte.
Times differ between two machines by the moment of asking: replies to questions about time are
compared with a tolerance, everything else exactly.
"""

from __future__ import annotations

import io
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from hypothesis import HealthCheck, settings

from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import HashEngine
from redraft.topology.slots import SLOTS

TOLERANCE = {b"ttl": 1, b"pttl": 2000, b"expiretime": 2, b"pexpiretime": 2000}


def encode(words: Sequence[bytes]) -> bytes:
    """Return a request."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


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
    """A redis-server of its own, without persistence, and a connection to it."""

    def __init__(self) -> None:
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

    def close(self) -> None:
        """Stop the server."""
        self._stream.close()
        self._socket.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class OutOfLine:
    """A hash engine that is not known as one, so that every command goes to its handler."""

    def __init__(self) -> None:
        self._inner = HashEngine()
        self.last_applied = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def now_ms() -> int:
    """Return the time, which the oracle goes by."""
    return time.time_ns() // 1_000_000


def context(*, fast: bool = True) -> Context:
    """Return a context for an empty keyspace of all slots, set for writing."""
    engine = HashEngine() if fast else OutOfLine()
    ctx = Context(Keyspace(engine, range(SLOTS)))  # type: ignore[arg-type]
    ctx.begin(now_ms=now_ms(), write=True)
    return ctx


def run(ctx: Context, requests: Sequence[Sequence[bytes]], proto: int) -> list[bytes]:
    """Execute requests as one batch; a handler that raised is a failure."""
    ctx.begin(now_ms=now_ms(), write=True)
    replies = execute_batch(ctx, b"".join(map(encode, requests)), [(len(requests), proto)])
    if ctx.bugs:
        raise AssertionError(f"a handler raised in {requests!r}") from ctx.bugs[0]
    return replies


def execute_one(ctx: Context, words: Sequence[bytes]) -> bytes:
    """Return the reply to one request, as `ctx` is set."""
    return execute_batch(ctx, encode(words), [(1, ctx.proto)])[0]


def check_counts(keyspace: Keyspace) -> None:
    """Assert that the keyspace's counts are those of a fresh look at the engine."""
    fresh = Keyspace(keyspace.engine, keyspace.slots)
    for name in ("key_count", "expiring_count", "data_bytes"):
        assert getattr(keyspace, name) == getattr(fresh, name), name
    assert not keyspace.journal


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


def _in_any_order(name: bytes, reply: bytes) -> bytes:
    if name not in UNORDERED or reply[:1] not in b"*~%":
        return reply
    header, _, rest = reply.partition(b"\r\n")
    return header + b"".join(sorted(items_of(rest)))


Known = Callable[[Sequence[bytes], bytes], bytes]
"""(request, reply) -> what both sides have to say alike of the reply."""


def without_small_sets(request: Sequence[bytes], reply: bytes) -> bytes:
    """`known` where there are sets: Redis 7.0 has no small ones of anything but integers, 7.2 has."""
    return reply.replace(b"$8\r\nlistpack", b"$9\r\nhashtable") if request[0] == b"OBJECT" else reply


def compare(
    oracle: Oracle,
    requests: Sequence[Sequence[bytes]],
    proto: int,
    known: Known = lambda _request, reply: reply,
) -> None:
    """Send requests to the oracle and to both executors; every reply, made `known`, has to be the same."""
    oracle.reset(proto)
    theirs = [oracle.ask(request) for request in requests]
    for fast in (True, False):
        ctx = context(fast=fast)
        for number, (our, their) in enumerate(zip(run(ctx, requests, proto), theirs, strict=True)):
            request = requests[number]
            name = request[0].lower()
            our, their = _in_any_order(name, our), _in_any_order(name, their)
            our, their = known(request, our), known(request, their)
            assert _same(name, our, their), (
                f"{fast=} {requests[: number + 1][-6:]}: ours {our!r}, Redis's {their!r}"
            )
        check_counts(ctx.keyspace)


def requests_of(script: str) -> list[list[bytes]]:
    """Return the requests of a script: `|` and line ends divide them, {} is an empty word, {sp} a space."""
    lines = [line.strip() for line in script.replace("\n", "|").split("|")]
    return [
        [word.replace("{sp}", " ").replace("{}", "").encode() for word in line.split()]
        for line in lines
        if line
    ]


generated = settings(
    max_examples=150,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""How sequences of requests are generated."""


def started() -> Iterator[Oracle]:
    """Yield an oracle, and stop it afterwards."""
    oracle = Oracle()
    yield oracle
    oracle.close()
