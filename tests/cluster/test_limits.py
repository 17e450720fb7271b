"""Many connections, large values, slow readers, full memory: bounded, and told in Redis's words."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from benchmarks.machine import MEBIBYTE, usage
from tests.cluster.harness import Cluster, redraft_command
from tests.cluster.parameters import CONNECTIONS
from tests.cluster.ports import HOST
from tests.cluster.waiting import wait_until

VALUE_BYTES = 24 * MEBIBYTE
SLOW_REPLIES = 2_000


def test_limits_idle_connections_cost_memory_only(cluster: Cluster) -> None:
    """Thousands of idle connections to one node: it goes on serving, for little memory each."""
    node = cluster.nodes[1]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = usage(node.process.pid)
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection((HOST, node.port), 30))
        with cluster.client(node) as client:
            connected = wait_until(
                lambda: (count := int(client.info("clients")["connected_clients"])) > CONNECTIONS and count,
                timeout_s=30,
                what="all connections are accepted",
            )
            assert client.set("limits:idle", connected)
        after = usage(node.process.pid)
    assert after.resident_bytes - before.resident_bytes < CONNECTIONS * 16 * 1024 + 16 * MEBIBYTE
    with cluster.client(node) as client:
        wait_until(
            lambda: int(client.info("clients")["connected_clients"]) < CONNECTIONS,
            timeout_s=30,
            what="closed connections are noticed",
        )


def test_limits_large_value_through_every_node(cluster: Cluster) -> None:
    """A value of many megabytes, written through one node and read through the others."""
    value = bytes(range(256)) * (VALUE_BYTES // 256)
    for node in cluster.nodes:
        with cluster.client(node) as client:
            assert client.set(f"limits:large:{node.number}", value)
        for other in cluster.others(node):
            with cluster.client(other) as client:
                assert client.get(f"limits:large:{node.number}") == value
        with cluster.client(node) as client:
            client.delete(f"limits:large:{node.number}")


def test_limits_slow_reader_is_cut_and_others_go_on(directory: Path) -> None:
    """A client that asks for gigabytes and reads none is disconnected before the node's memory suffers."""
    command = redraft_command(
        "--client-output-buffer-limit", "32mb", "--client-output-buffer-soft-limit", "0"
    )
    with Cluster(directory, command=command) as cluster:
        node = cluster.nodes[0]
        with cluster.client(node) as client:
            client.set("limits:wide", b"x" * MEBIBYTE)
            before = usage(node.process.pid).resident_bytes
            with socket.create_connection((HOST, node.port), 30) as slow:
                slow.sendall(b"GET limits:wide\r\n" * SLOW_REPLIES)
                wait_until(
                    lambda: len(client.client_list()) == 1,
                    timeout_s=30,
                    what="the slow reader is disconnected",
                )
                assert client.set("limits:meanwhile", 1)
            grown = usage(node.process.pid).resident_bytes - before
        assert grown < 200 * MEBIBYTE


def test_limits_full_memory_refuses_writes_and_nothing_else(directory: Path) -> None:
    """At `maxmemory` writes that add get -OOM, on any node; reads and deletes work, and make room again."""
    command = redraft_command("--groups", "1", "--maxmemory", "20mb")
    with Cluster(directory, command=command) as cluster:
        clients = [cluster.client(node) for node in cluster.nodes]
        value = b"x" * 100_000

        def fill() -> None:
            for number in range(1_000):
                clients[number % 3].set(f"limits:{number}", value)

        with pytest.raises(redis.exceptions.OutOfMemoryError):
            fill()
        assert clients[1].get("limits:0") == value
        for client in clients:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.set("limits:more", value)
        assert clients[2].flushall()
        wait_until(
            lambda: clients[0].set("limits:again", value),
            timeout_s=10,
            what="there is room again",
            expected=(redis.exceptions.OutOfMemoryError,),
        )
        for client in clients:
            client.close()
