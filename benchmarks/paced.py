"""`python -m benchmarks.paced`: SETs at a fixed rate, each due at its time, whatever became of those before.

A load that waits for its replies sends nothing while the server pauses, and so hardly sees it.  Here each SET
has its time; its latency is counted from then.  Prints one JSON object: for each SET when it was due and how
long it took, in milliseconds, what errors came, and which keys do not hold the last value that was written.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque

import click

from redraft.accel.scan import key_slot
from redraft.control.slotmoves import read, slots_of

HOST = "127.0.0.1"
GRACE_S = 20.0


class Writer(asyncio.Protocol):
    """One connection: SETs out, replies in, in order."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._due: deque[float] = deque()
        self._rest = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, due: float, data: bytes) -> None:
        """Send a request that was due at `due`."""
        assert self.transport is not None
        self._due.append(due)
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        now = time.monotonic()
        for line in lines:
            self._load.answered(self._due.popleft(), now, line)

    @property
    def owed(self) -> int:
        """Requests without a reply."""
        return len(self._due)


class Load:
    """All connections of one process."""

    def __init__(self, keys: list[bytes], size: int) -> None:
        self._keys = keys
        self._size = size
        self.rows: list[tuple[float, float]] = []
        self.errors: dict[str, int] = {}
        self.written: dict[int, int] = {}

    def answered(self, due: float, now: float, line: bytes) -> None:
        """A reply came."""
        self.rows.append((due, (now - due) * 1000))
        if line != b"+OK":
            text = line.decode(errors="replace")
            self.errors[text] = self.errors.get(text, 0) + 1

    async def run(self, ports: list[int], connections: int, rate: float) -> None:
        """Write until told to end; each key is one connection's, so that its last value is known."""
        loop = asyncio.get_running_loop()
        writers: list[Writer] = []
        for number in range(connections):
            port = ports[number % len(ports)]
            _, writer = await loop.create_connection(lambda: Writer(self), HOST, port)
            writers.append(writer)
        ended = loop.run_in_executor(None, sys.stdin.readline)
        click.echo("ready")
        begun, sent, count = time.monotonic(), 0, len(self._keys)
        while not ended.done():
            passed = time.monotonic() - begun
            while sent < passed * rate:
                writer = sent % connections
                at = writer + connections * random.randrange((count - writer - 1) // connections + 1)
                self.written[at] = sent
                writers[writer].send(begun + sent / rate, self._request(at, sent))
                sent += 1
            await asyncio.sleep(0.001)
        end = time.monotonic() + GRACE_S
        while any(writer.owed for writer in writers) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        lost = sum(writer.owed for writer in writers)
        if lost:
            self.errors["no reply"] = lost

    def _request(self, at: int, number: int) -> bytes:
        key, value = self._keys[at], self._value(number)
        return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)

    def _value(self, number: int) -> bytes:
        return b"%0*d" % (self._size, number)

    async def wrong(self, port: int) -> list[str]:
        """Return the keys that do not hold what was written last."""
        reader, writer = await asyncio.open_connection(HOST, port)
        wrong = []
        for at, number in self.written.items():
            key = self._keys[at]
            writer.write(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
            length = int((await reader.readline())[1:])
            value = (await reader.readexactly(length + 2))[:-2] if length >= 0 else None
            if value != self._value(number):
                wrong.append(key.decode())
        writer.close()
        return wrong


def keys_of(slots: set[int], count: int) -> list[bytes]:
    """Return so many keys of these slots."""
    keys: list[bytes] = []
    number = 0
    while len(keys) < count:
        key = b"key:%012d" % number
        if key_slot(key) in slots:
            keys.append(key)
        number += 1
    return keys


@click.command()
@click.option("--ports", required=True, help="Client ports, in turn for the connections.")
@click.option("--slots", required=True, help="Slots of the keys.")
@click.option("--keys", default=20_000)
@click.option("--size", default=64)
@click.option("--rate", default=5_000.0, help="SETs in a second.")
@click.option("--connections", default=25)
def main(ports: str, slots: str, keys: int, size: int, rate: float, connections: int) -> None:
    """Write, and say how it went."""
    gc.disable()  # its pauses are not the server's
    load = Load(keys_of(slots_of(read(slots)), keys), size)
    numbers = [int(port) for port in ports.split(",")]
    asyncio.run(load.run(numbers, connections, rate))
    wrong = asyncio.run(load.wrong(numbers[0]))
    click.echo(json.dumps({"rows": load.rows, "errors": load.errors, "wrong": wrong}))


if __name__ == "__main__":
    main()
