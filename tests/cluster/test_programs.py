"""redis-cli and redis-benchmark, unchanged, on any node."""

from __future__ import annotations

import re

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.ports import PRIMARY_DISTANCE, REPLICA_DISTANCE
from tests.cluster.programs import Terminal, run


def test_redis_cli_at_a_terminal_sets_and_gets(cluster: Cluster) -> None:
    """Typed line by line, with the hints that it makes from COMMAND DOCS."""
    with Terminal(cluster.nodes[0].port) as terminal:
        terminal.expect("> ")
        terminal.type("set terminal:key typed")
        terminal.expect("OK")
        terminal.expect("> ")
        terminal.type("get terminal:key")
        terminal.expect('"typed"')
        terminal.expect("> ")
        terminal.type("help set")
        terminal.expect("summary")


def test_redis_cli_reads_on_one_node_what_was_written_on_another(cluster: Cluster) -> None:
    """Any command on any node: what one acknowledged, each other one reads at once."""
    for writer in cluster.nodes:
        for reader in cluster.nodes:
            value = f"{writer.number}-{reader.number}"
            assert run("redis-cli", writer.port, "set", "cli:shared", value) == "OK\n"
            assert run("redis-cli", reader.port, "get", "cli:shared") == f"{value}\n"


def test_redis_cli_scan_lists_every_key_once(cluster: Cluster) -> None:
    """`--scan` on the client port walks the keyspace of all groups."""
    keys = [f"scan:{number}" for number in range(500)]
    with cluster.client(1) as client:
        client.set("scanned-not", 1)
        for key in keys:
            client.set(key, 1)
    for node in cluster.nodes:
        listed = run("redis-cli", node.port, "--scan", "--pattern", "scan:*").split()
        assert sorted(listed) == sorted(keys)


@pytest.mark.parametrize("distance", [0, PRIMARY_DISTANCE], ids=["client port", "primary port"])
def test_redis_cli_in_cluster_mode_reaches_every_slot(cluster: Cluster, distance: int) -> None:
    """`-c` follows MOVED where there is any: keys of all groups can be written and read from one port."""
    port = cluster.nodes[0].port + distance
    for number in range(12):
        assert run("redis-cli", port, "-c", "set", f"moved:{number}", str(number)).endswith("OK\n")
        assert run("redis-cli", port, "-c", "get", f"moved:{number}").endswith(f"{number}\n")


def test_redis_cli_in_cluster_mode_reads_from_replicas(cluster: Cluster) -> None:
    """READONLY on a replica port: a read that follows the acknowledged write sees it."""
    with cluster.client(0) as client:
        client.set("replica:key", "fresh")
    for node in cluster.nodes:
        lines = b"READONLY\nGET replica:key\n"
        said = run("redis-cli", node.port + REPLICA_DISTANCE, "-c", given=lines)
        assert said.split()[-1] == "fresh"


def test_redis_cli_info_has_every_section(cluster: Cluster) -> None:
    """INFO as monitoring reads it: `# Section` headings and name:value lines."""
    said = run("redis-cli", cluster.nodes[0].port, "info", "everything")
    headings = {line[2:].strip().lower() for line in said.splitlines() if line.startswith("# ")}
    wanted = {"server", "clients", "memory", "stats", "replication", "cluster", "keyspace", "raft"}
    assert wanted <= headings
    assert re.search(r"^redis_version:\d+\.\d+", said, re.MULTILINE)


def test_redis_cli_pipe_loads_in_bulk(cluster: Cluster) -> None:
    """`--pipe` sends ten thousand commands without waiting, and counts as many replies and no error."""
    commands = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\npipe:%d\r\n$5\r\nvalue\r\n" % (len(f"pipe:{number}"), number)
        for number in range(10_000)
    )
    said = run("redis-cli", cluster.nodes[2].port, "--pipe", given=commands)
    assert "errors: 0, replies: 10000" in said
    with cluster.client(0) as client:
        assert client.get("pipe:9999") == b"value"


@pytest.mark.parametrize("load", [(), ("-P", "16", "-r", "100000", "-c", "200")], ids=["plain", "pipelined"])
@pytest.mark.parametrize("number", [0, 1, 2], ids=["node 0", "node 1", "node 2"])
def test_redis_benchmark_runs_on_any_node(cluster: Cluster, number: int, load: tuple[str, ...]) -> None:
    """`redis-benchmark -t ping,set,get,incr -q`, with and without a pipeline, says no error."""
    arguments = ("-t", "ping,set,get,incr", "-q", "-n", "4000", *load)
    said = run("redis-benchmark", cluster.nodes[number].port, *arguments)
    assert finished(said) == {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"}
    assert "error" not in said.lower()


@pytest.mark.parametrize("load", [(), ("-P", "16", "-r", "100000", "-c", "200")], ids=["plain", "pipelined"])
def test_redis_benchmark_runs_mset_with_one_group(one_group: Cluster, load: tuple[str, ...]) -> None:
    """MSET of keys with any slots is one command of one group when there is only one."""
    said = run("redis-benchmark", one_group.nodes[1].port, "-t", "mset", "-q", "-n", "2000", *load)
    assert finished(said) == {"MSET (10 keys)"}
    assert "error" not in said.lower()


def test_redis_benchmark_in_cluster_mode_finds_all_nodes(cluster: Cluster) -> None:
    """`--cluster` seeded with a client port loads the primary ports of all nodes."""
    said = run("redis-benchmark", cluster.nodes[0].port, "--cluster", "-t", "set,get", "-q", "-n", "3000")
    assert finished(said) == {"SET", "GET"}
    assert "error" not in said.lower()


def finished(said: str) -> set[str]:
    """The tests of which redis-benchmark -q printed a final rate."""
    lines = said.replace("\r", "\n").splitlines()
    pattern = re.compile(r"\s*(.+?): [\d.]+ requests per second")
    return {match[1] for line in lines if (match := pattern.match(line))}
