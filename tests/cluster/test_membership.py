"""Clusters that grow, shrink, lose disks and lose quorums, as operators and clients see it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import READY_S, Cluster, Node, redraft_command
from tests.cluster.parameters import CLIENTS, PAUSE_MAX_S, SEED, TIMEOUT_S, report
from tests.cluster.waiting import wait_until
from tests.cluster.workload import Workload

pytestmark = pytest.mark.timeout(TIMEOUT_S)


def status(cluster: Cluster, at: Node) -> dict[str, Any]:
    """What a node says of its cluster."""
    with cluster.client(at) as client:
        found: dict[str, Any] = json.loads(client.execute_command("REDRAFT", "STATUS"))
    return found


def stands_on(cluster: Cluster, at: Node, group: int) -> list[int]:
    """The placement of a group."""
    return next(each["voters"] for each in status(cluster, at)["groups"] if each["id"] == group)


def settles_on(cluster: Cluster, at: Node, node: int, groups: list[int]) -> None:
    """Wait until groups have a replica on a node, and nothing of them moves."""

    def settled() -> bool:
        found = {each["id"]: each for each in status(cluster, at)["groups"]}
        return all(node in found[group]["voters"] and not found[group]["moving"] for group in groups)

    wait_until(settled, timeout_s=READY_S, what=f"groups {groups} stand on node {node}")


def done(command: subprocess.CompletedProcess[str]) -> str:
    """What a command said that succeeded."""
    assert command.returncode == 0, command.stderr
    return command.stdout


def refused(command: subprocess.CompletedProcess[str]) -> str:
    """What a command said that was refused."""
    assert command.returncode == 1, command.stdout
    return command.stderr


def test_cluster_grows_and_shrinks_under_load(directory: Path) -> None:
    """Three nodes become five, groups move there and back, and no client notices more than a pause."""
    print("seed", SEED)
    with Cluster(directory) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            load.progress(50)
            began = time.monotonic()
            new = [cluster.join(cluster.nodes[0]), cluster.join(cluster.nodes[1])]
            for group, voters in ((1, "4,5,1"), (2, "5,2,4"), (3, "3,4,5")):
                done(cluster.admin(cluster.nodes[2], "group", "move", str(group), "--to", voters))
                load.progress(50)
            grown_s = time.monotonic() - began
            for node, number in zip(new, (4, 5), strict=True):
                done(cluster.admin(cluster.nodes[0], "node", "remove", str(number)))
                assert node.process.wait() == 1
                assert f"Node {number}" in node.process.tail().splitlines()[-1]
                assert "was removed from the cluster" in node.process.tail().splitlines()[-1]
                load.progress(50)
        del cluster.nodes[3:]
        report("grow and shrink", {"grown_s": round(grown_s, 1), **load.summary()})
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
        assert max(load.longest_pauses().values()) <= PAUSE_MAX_S
        assert [each["id"] for each in status(cluster, cluster.nodes[0])["nodes"]] == [1, 2, 3]
        assert sorted(stands_on(cluster, cluster.nodes[0], 2)) == [1, 2, 3]


def test_node_that_lost_its_disk_comes_back_as_a_new_one(directory: Path) -> None:
    """Wiped, it is refused; taken out and joined with the same address, it holds all again."""
    with Cluster(directory) as cluster:
        first, _second, third = cluster.nodes
        with cluster.client(first) as client:
            for number in range(100):
                client.set(f"key:{number}", number)
        cluster.kill(third)
        shutil.rmtree(third.directory)
        third.process.start()
        assert third.process.wait(READY_S) == 1
        assert "was wiped" in third.process.tail()
        cluster.nodes.remove(third)
        assert "is the address of node 3" in _joined_in_vain(cluster, first, third.port)
        done(cluster.admin(first, "node", "remove", "3"))
        new = cluster.join(first, third.port)
        settles_on(cluster, new, 4, [1, 2, 3])
        settled = "group", "move", "1", "--to", "4,1,2"
        assert "stands on nodes 4, 1, 2" in done(cluster.admin(new, *settled))
        cluster.kill(first)
        with cluster.client(new) as client:
            assert [client.get(f"key:{number}") for number in range(100)] == [
                str(number).encode() for number in range(100)
            ]


def _joined_in_vain(cluster: Cluster, at: Node, port: int) -> str:
    flags = ("--listen", f"127.0.0.1:{port}", "--join", f"127.0.0.1:{at.port}")
    command = [sys.executable, "-m", "redraft", "server", *flags, "--dir", str(cluster.directory / "vain")]
    said = subprocess.run(
        command, env=cluster.environment, capture_output=True, text=True, timeout=READY_S, check=False
    )
    return refused(said)


def filled(cluster: Cluster) -> None:
    """Write enough for snapshots, and damage the middle of a file of the third node."""
    with cluster.client(cluster.nodes[0]) as client:
        for number in range(600):
            client.set(f"key:{number % 300}", b"%4d" % number * 1000)
    wait_until(
        lambda: status(cluster, cluster.nodes[2])["groups"][0]["snapshot_index"] > 0,
        timeout_s=READY_S,
        what="a snapshot is made",
    )


def damaged(node: Node, what: str) -> str:
    """Flip a bit in the middle of a node's first log segment, or of its snapshot; returns the file's name."""
    file = sorted((node.directory / what).iterdir())[0 if what == "log" else -1]
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)
    return file.name


SMALL = ("--groups", "1", "--snapshot-log-bytes", "1mb", "--log-tail-bytes", "100kb")


def test_damaged_log_is_named_and_the_node_rebuilt_from_its_peers(directory: Path) -> None:
    """Refused with file and offset; one command, and the node holds all again."""
    with Cluster(directory, command=redraft_command(*SMALL)) as cluster:
        first, _second, third = cluster.nodes
        filled(cluster)
        cluster.kill(third)
        name = damaged(third, "log")
        third.process.start()
        assert third.process.wait(READY_S) == 1
        assert f"{name} is damaged at offset" in third.process.tail()
        cluster.nodes.remove(third)
        said = done(cluster.admin(first, "rebuild", "--dir", str(third.directory)))
        assert f"with --join 127.0.0.1:{first.port}" in said
        new = cluster.join(first, third.port, directory=third.directory)
        settles_on(cluster, new, 4, [1])
        done(cluster.admin(new, "group", "move", "1", "--to", "4,1,2"))
        with cluster.client(new) as client:
            assert client.dbsize() == 300
            assert client.get("key:299") == b"%4d" % 599 * 1000


def test_damaged_snapshot_is_named_and_replaced_from_the_peers(directory: Path) -> None:
    """The node starts, says which file it is, and gets its state again without being told to."""
    with Cluster(directory, command=redraft_command(*SMALL)) as cluster:
        first, second, third = cluster.nodes
        filled(cluster)
        cluster.kill(third)
        name = damaged(third, "snapshots")
        cluster.restart(third)
        assert f"{name} is damaged: a checksum is wrong at offset" in third.process.tail()
        wait_until(
            lambda: status(cluster, third)["groups"][0]["keys"] == 300,
            timeout_s=READY_S,
            what="the replica is filled again",
        )
        done(cluster.admin(first, "group", "move", "1", "--to", "3,1,2"))
        cluster.kill(second)
        with cluster.client(third) as client:
            assert client.get("key:299") == b"%4d" % 599 * 1000


def test_changes_that_can_not_be_are_refused_in_a_sentence(directory: Path) -> None:
    """Unknown nodes and groups, dead targets, and what would leave no majority."""
    with Cluster(directory) as cluster:
        first, second, third = cluster.nodes
        assert "There is no node 9: the members are 1, 2, 3." in refused(
            cluster.admin(first, "node", "remove", "9")
        )
        assert "There is no group 7" in refused(cluster.admin(first, "group", "move", "7", "--to", "1"))
        cluster.kill(third)
        wait_until(
            lambda: "only 1 would be alive" in cluster.admin(first, "node", "remove", "2").stderr,
            timeout_s=READY_S,
            what="the removal of a node that is needed is refused",
        )
        assert second.living
        cluster.restart(third)


def test_recover_makes_the_node_that_is_left_the_cluster(directory: Path) -> None:
    """Two of three are gone for good: the third goes on alone, and becomes three again."""
    with Cluster(directory) as cluster:
        first = cluster.nodes[0]
        with cluster.client(first) as client:
            for number in range(100):
                client.set(f"key:{number}", number)
            wait_until(
                lambda: all(
                    row["match_index"] == group["last_index"]
                    for node in cluster.nodes
                    for group in status(cluster, node)["groups"]
                    for row in group["replicas"]
                ),
                timeout_s=READY_S,
                what="all have all",
            )
        cluster.kill_all()
        old = cluster.nodes[1]
        del cluster.nodes[1:]
        said = subprocess.run(
            [sys.executable, "-m", "redraft", "recover", "--dir", str(first.directory), "--yes"],
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
        assert "THIS IS THE LAST RESORT" in said.stderr
        assert "node 1 is now cluster" in done(said)
        cluster.restart(first)
        with cluster.client(first) as client:
            assert client.dbsize() == 100
        old.process.start()
        wait_until(
            lambda: "belongs to cluster" in old.process.tail(),
            timeout_s=READY_S,
            what="a node of the old cluster is refused",
        )
        old.process.kill()
        new = cluster.join(first)
        cluster.join(first)
        wait_until(
            lambda: "stands on nodes" in cluster.admin(first, "group", "move", "1", "--to", "4,5,1").stdout,
            timeout_s=READY_S,
            what="the first group moves",
        )
        with cluster.client(new) as client:
            assert client.dbsize() == 100


def test_cluster_of_one_grows_to_three(directory: Path) -> None:
    """Started alone and joined twice, each group has three replicas: the first node may die."""
    with Cluster(directory, size=1, command=redraft_command("--groups", "2")) as cluster:
        first = cluster.nodes[0]
        with cluster.client(first) as client:
            client.set("a", "1")
        second = cluster.join(first)
        third = cluster.join(second)
        wait_until(
            lambda: (
                not any(group["moving"] for group in status(cluster, third)["groups"])
                and sorted(stands_on(cluster, third, 2)) == [1, 2, 3]
                and len(status(cluster, third)["topology"]["voters"]) == 3
            ),
            timeout_s=READY_S,
            what="every group has three replicas",
        )
        cluster.kill(first)
        with cluster.client(third) as client:
            assert client.get("a") == b"1"
