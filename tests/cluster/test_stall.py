"""A leader that stands still (SIGSTOP, a suspended machine) and goes on as if nothing had happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from redraft.simulation.linearizability import violations
from tests.cluster.harness import Cluster, redraft_command
from tests.cluster.late_reads import LateReads
from tests.cluster.parameters import CLIENTS, SEED, STALL_S, TIMEOUT_S, report
from tests.cluster.workload import Workload

pytestmark = pytest.mark.timeout(TIMEOUT_S)

# One tag, so one slot, one group, one leader: the one that is stopped.
REGISTERS = [f"{{stalled}}:{number}" for number in range(4)]
LATE_READ_INTERVAL_S = 0.25
MIX = {"fresh": 1, "counter": 2, "write": 4, "read": 6}


@pytest.mark.parametrize("read_mode", ["index", "lease"])
def test_stalled_leader_answers_nothing_stale(directory: Path, read_mode: str) -> None:
    """SIGSTOP of a leader, SIGCONT: the others go on meanwhile, and no read it then answers is stale."""
    print("seed", SEED)
    command = redraft_command("--groups", "3", "--read-mode", read_mode)
    with Cluster(directory, command=command) as cluster:
        leader = cluster.leader_of(REGISTERS[0])
        others = cluster.others(leader)
        late = LateReads(leader.port, REGISTERS)
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS, mix=MIX, registers=REGISTERS) as load:
            load.progress(100)
            cluster.pause(leader)
            stopped = time.monotonic()
            load.progress(50, others)
            asked = failed_over = time.monotonic()
            while (now := time.monotonic()) < stopped + STALL_S:
                if now > asked + LATE_READ_INTERVAL_S:
                    late.send()
                    asked = now
                load.progress(10, others)
            cluster.resume(leader)
            reads = late.collect()
            cluster.wait_ready([leader])
            load.progress(100)
        figures = {"read_mode": read_mode, "late_reads": len(reads), "served_again_s": failed_over - stopped}
        report("stalled leader", {**load.summary(), **figures})
        assert load.judge(cluster.nodes) == []
        assert load.judge_errors() == []
        writes = [operation for operation in load.operations if operation.key in REGISTERS]
        assert [str(violation) for violation in violations([*writes, *reads])] == []
