"""Engines on disk in a node: their checkpoints are what the log is cut behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from redraft.engine.btree import BTreeStore
from redraft.engine.interface import is_durable
from redraft.node.states import DiskStates, States
from redraft.snapshot.worker import Worker
from tests.node.bottle import Cluster


@dataclass
class OnDisk(Cluster):
    """A cluster whose nodes keep their keys in B+ trees."""

    path: Path = field(default_factory=Path)

    def states(self, number: int, worker: Worker) -> States:
        """Below a directory of the node's own."""
        path = self.path / str(number)
        return DiskStates(path, BTreeStore, worker, memory_bytes=self.config.engine_memory_bytes)


@pytest.mark.parametrize("memory", ["64kb", "32mb"])
def test_log_is_cut_behind_checkpoints(tmp_path: Path, memory: str) -> None:
    """Also when they are only ever written because an engine had much in memory."""
    kilobytes = 64 if memory == "64kb" else 32 * 1024
    settings = {
        "engine": "btree",
        "engine_memory_bytes": kilobytes * 1024,
        "snapshot_log_bytes": 256 * 1024,
        "log_tail_bytes": 0,
    }
    cluster = OnDisk(settings=settings, path=tmp_path)
    cluster.elect()
    for number in range(500):
        cluster.call(1, [b"SET", b"key:%d" % number, b"v" * 4000], write=True)
    cluster.run(3000)
    for node in cluster.nodes.values():
        replica = node.replicas[1]
        engine = replica.applier.keyspace.engine
        assert is_durable(engine)
        assert engine.durable_index > 100
        assert replica.raft.log.bytes < 1024 * 1024, "the log is never cut"
        assert replica.raft.log.first_index > 100
