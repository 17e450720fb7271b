"""The harness against a server known to lose writes: a check that can't fail proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.ports import HOST
from tests.cluster.processes import DiedError
from tests.cluster.waiting import wait_until
from tests.cluster.workload import Workload

SEED = 20_011
REGISTERS = [f"register:{number}" for number in range(20)]


def forgetful_command(number: int, ports: Sequence[int], directory: Path) -> list[str]:
    """A redis-server that persists nothing: after kill -9 all is lost."""
    where = ("--port", str(ports[number]), "--bind", HOST)
    return ["redis-server", *where, "--save", "", "--appendonly", "no"]


@pytest.fixture
def forgetful(directory: Path) -> Cluster:
    return Cluster(directory, size=1, command=forgetful_command)


def test_harness_finds_nothing_wrong_with_a_server_left_alone(forgetful: Cluster) -> None:
    """One redis-server that nobody kills is linearizable and keeps what it acknowledged."""
    with forgetful:
        with Workload(forgetful, seed=SEED, clients_per_node=4) as load:
            load.progress(300)
        assert load.judge(forgetful.nodes) == []
        assert load.judge_errors() == []


def test_harness_convicts_a_server_that_forgets(forgetful: Cluster) -> None:
    """kill -9 of a redis-server without persistence: lost writes, lost increments, stale reads."""
    with forgetful:
        with Workload(forgetful, seed=SEED, clients_per_node=4, registers=REGISTERS) as load:
            load.progress(200)
            forgetful.kill(forgetful.nodes[0])
            forgetful.restart(forgetful.nodes[0])
            load.progress(200)
        wrong = load.judge(forgetful.nodes)
    for sentence in ("acknowledged writes are missing", "counter:0 is", "not linearizable: register:"):
        assert any(sentence in complaint for complaint in wrong), (sentence, wrong)


def test_harness_excuses_errors_only_on_the_node_that_was_out(directory: Path) -> None:
    """Two servers, one killed: its clients' errors are excused; when it dies by itself nothing is."""
    with Cluster(directory, size=2, command=forgetful_command) as cluster:
        with Workload(cluster, seed=SEED) as load:
            load.progress(50)
            cluster.kill(cluster.nodes[0])
            load.progress(50)
            cluster.restart(cluster.nodes[0])
            load.progress(50)
        assert any(client.troubles for client in load.clients)
        assert load.judge_errors() == []
        cluster.nodes[0].outages.clear()
        assert "errors on living nodes" in load.judge_errors()[0]


def test_harness_notices_a_node_that_dies_by_itself(forgetful: Cluster) -> None:
    """A process that ended though nobody killed it fails the test, with the end of its log."""
    with forgetful:
        with forgetful.client(0) as client:
            client.shutdown(nosave=True)
        with pytest.raises(DiedError, match="ended by itself"):
            wait_until(forgetful.check, timeout_s=10, what="its end is noticed")


def test_harness_pauses_and_resumes_a_node(forgetful: Cluster) -> None:
    """A node stopped by SIGSTOP answers nothing; after SIGCONT its clients get their answers."""
    with forgetful:
        node = forgetful.nodes[0]
        with Workload(forgetful, seed=SEED) as load:
            load.progress(50)
            forgetful.pause(node)
            before = [client.completed for client in load.clients]
            assert not node.living
            forgetful.resume(node)
            forgetful.wait_ready()
            load.progress(50)
        assert all(client.completed > count for client, count in zip(load.clients, before, strict=True))
        assert load.judge([node]) == []
