"""Loads all keys of a keyspace, so that a GET finds what it asks for; names as redis-benchmark makes them."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator

from benchmarks.load import HOST, LoadError

BATCH = 1_000
ETCD_BATCH = 100  # puts in a transaction; etcd allows 128
TIMEOUT_S = 60.0
OK = b"+OK\r\n"


def key(number: int) -> bytes:
    return b"key:%012d" % number


def _batches(count: int, length: int) -> Iterator[range]:
    for low in range(0, count, length):
        yield range(low, min(count, low + length))


def fill_redis(port: int, count: int, size: int, first: int = 0) -> None:
    """SET keys `first`..`first + count` to values of `size` bytes, in pipelines of a thousand."""
    value = b"x" * size
    with socket.create_connection((HOST, port), TIMEOUT_S) as connection:
        for batch in _batches(count, BATCH):
            connection.sendall(
                b"".join(
                    b"*3\r\n$3\r\nSET\r\n$16\r\n%s\r\n$%d\r\n%s\r\n" % (key(first + number), size, value)
                    for number in batch
                )
            )
            left = len(OK) * len(batch)
            while left:
                received = connection.recv(min(left, 1 << 16))
                if not received or received.strip(OK):
                    raise LoadError(f"filling port {port}: {received[:200]!r}")
                left -= len(received)


def fill_etcd(port: int, count: int, size: int) -> None:
    """Put the same keys into etcd, a hundred in a transaction."""
    value = base64.b64encode(b"x" * size).decode()
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    for batch in _batches(count, ETCD_BATCH):
        puts = [
            {"requestPut": {"key": base64.b64encode(key(number)).decode(), "value": value}}
            for number in batch
        ]
        ask_etcd(connection, "/v3/kv/txn", {"success": puts})
    connection.close()


def ask_etcd(connection: http.client.HTTPConnection, path: str, body: object) -> dict[str, object]:
    """One request to etcd's JSON gateway."""
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.OK:
        raise LoadError(f"etcd {path}: {answer.status} {text[:200]!r}")
    result = json.loads(text)
    assert isinstance(result, dict)
    return result
