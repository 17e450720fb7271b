"""What is compared: each system as it is started, filled, asked and stopped; one file, so that it is fair.

Every system has its data in a fresh directory of the same file system, is started by the same
harness and asked at a port of 127.0.0.1.  Three redraft nodes and three etcd nodes sync every write
before they acknowledge it; redis-server is one node.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from benchmarks.fill import ask_etcd, fill_etcd, fill_redis
from benchmarks.load import (
    HOST,
    Case,
    LoadError,
    Rate,
    etcd_load,
    keyspace,
    pilot_requests,
    redis_load,
    redis_requests,
)
from tests.cluster.harness import Cluster, connect, redraft_command
from tests.cluster.ports import free_ports
from tests.cluster.processes import Process
from tests.cluster.waiting import wait_until

START_S = 60.0
NODES = 3
ETCD_QUOTA_BYTES = 8 << 30


class System(ABC):
    """One system; a context manager that starts it in a fresh directory and removes all afterwards."""

    name: str
    nodes: int

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.directory = parent
        self._rates: dict[Case, float] = {}

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name.split()[0]}-", dir=self._parent))
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.discard()
            if isinstance(error, Exception):
                error.add_note(f"{process.name} said at the end:\n{process.tail()}")
        shutil.rmtree(self.directory, ignore_errors=True)

    @abstractmethod
    def _start(self) -> None:
        """Start it and wait until it serves."""

    @property
    @abstractmethod
    def processes(self) -> Sequence[Process]:
        """Its server processes."""

    @abstractmethod
    def port(self, turn: int) -> int:
        """The port to load; `turn` counts up, so that "any node" can be each in turn."""

    @abstractmethod
    def fill(self, count: int, size: int) -> None:
        """Load all keys."""

    def pilot(self, case: Case, turn: int = 0) -> None:  # noqa: B027 - wrk runs for a time, it needs none
        """Find out how many requests a run of `case` needs; `measure` does it where nobody did."""

    @abstractmethod
    def measure(self, case: Case, seconds: float, turn: int = 0) -> Rate:
        """Run one case for about so long."""


class _SpeaksRedis(System):
    def fill(self, count: int, size: int) -> None:
        fill_redis(self.port(0), count, size)

    def pilot(self, case: Case, turn: int = 0) -> None:
        if case not in self._rates:
            self._rates[case] = redis_load(self.port(turn), case, pilot_requests(case)).rps

    def measure(self, case: Case, seconds: float, turn: int = 0) -> Rate:
        self.pilot(case, turn)
        rate = redis_load(self.port(turn), case, redis_requests(case, self._rates[case], seconds))
        self._rates[case] = rate.rps
        return rate


class Redis(_SpeaksRedis):
    """Debian's redis-server, one node: without persistence, or with the flags given."""

    nodes = 1

    def __init__(self, parent: Path, name: str = "redis-server", flags: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self.name = name
        self._flags = flags
        self._process: Process | None = None
        self._port = 0

    def _start(self) -> None:
        (self._port,) = free_ports(1)
        where = ["--port", str(self._port), "--bind", HOST, "--dir", str(self.directory), "--save", ""]
        command = ["redis-server", *where, *self._flags]
        self._process = Process(self.name, command, self.directory / "log", os.environ)
        self.again()

    def again(self) -> None:
        """Start the process on its directory, and wait until it has loaded what is there."""
        assert self._process is not None
        self._process.start()
        wait_until(
            self._answers, timeout_s=START_S, what="redis-server", expected=(redis.RedisError, OSError)
        )

    def _answers(self) -> bool:
        assert self._process is not None
        self._process.check()
        with connect(self._port) as client:
            return bool(client.ping())

    @property
    def processes(self) -> Sequence[Process]:
        return [self._process] if self._process else []

    def port(self, turn: int) -> int:  # noqa: ARG002 - there is one node
        return self._port


class Redraft(_SpeaksRedis):
    """Three redraft nodes: asked at the leader of their one group, or with several groups at any node."""

    nodes = NODES

    def __init__(self, parent: Path, *, groups: int = 1, flags: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self.groups = groups
        self.name = "redraft leader" if groups == 1 else "redraft any node"
        self._flags = flags
        self.cluster: Cluster | None = None

    def _start(self) -> None:
        command = redraft_command("--groups", str(self.groups), "--log-level", "debug", *self._flags)
        self.cluster = Cluster(self.directory, size=self.nodes, command=command)
        self.cluster.start()

    @property
    def processes(self) -> Sequence[Process]:
        return [node.process for node in self.cluster.nodes] if self.cluster else []

    def port(self, turn: int) -> int:
        assert self.cluster is not None
        if self.groups == 1:
            return self.cluster.leader_of("key").port
        return self.cluster.nodes[turn % self.nodes].port


class Etcd(System):
    """Three etcd nodes through their JSON gateway, asked at the leader."""

    name = "etcd leader"
    nodes = NODES

    def __init__(self, parent: Path) -> None:
        super().__init__(parent)
        self._processes: list[Process] = []
        self._ports: list[int] = []

    def _start(self) -> None:
        ports = free_ports(2 * self.nodes)
        self._ports, peers = ports[: self.nodes], ports[self.nodes :]
        members = ",".join(f"n{number}=http://{HOST}:{port}" for number, port in enumerate(peers))
        for number, (client, peer) in enumerate(zip(self._ports, peers, strict=True)):
            flags = {
                "name": f"n{number}",
                "data-dir": str(self.directory / f"n{number}"),
                "listen-client-urls": f"http://{HOST}:{client}",
                "advertise-client-urls": f"http://{HOST}:{client}",
                "listen-peer-urls": f"http://{HOST}:{peer}",
                "initial-advertise-peer-urls": f"http://{HOST}:{peer}",
                "initial-cluster": members,
                "initial-cluster-state": "new",
                "quota-backend-bytes": str(ETCD_QUOTA_BYTES),
                "log-level": "error",
            }
            command = ["etcd", *(f"--{name}={value}" for name, value in flags.items())]
            self._processes.append(
                Process(f"etcd {number}", command, self.directory / f"{number}.log", os.environ)
            )
        for process in self._processes:
            process.start()
        wait_until(lambda: self._leader() is not None, timeout_s=START_S, what="etcd elects a leader")

    def _leader(self) -> int | None:
        for process, port in zip(self._processes, self._ports, strict=True):
            process.check()
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            try:
                status = ask_etcd(connection, "/v3/maintenance/status", {})
            except (OSError, http.client.HTTPException, LoadError):
                continue
            finally:
                connection.close()
            header = status["header"]
            assert isinstance(header, dict)
            if status.get("leader") == header.get("member_id"):
                return port
        return None

    @property
    def processes(self) -> Sequence[Process]:
        return self._processes

    def port(self, turn: int) -> int:  # noqa: ARG002 - always the leader
        leader = self._leader()
        if leader is None:
            raise LoadError("etcd has no leader")
        return leader

    def fill(self, count: int, size: int) -> None:
        fill_etcd(self.port(0), count, size)

    def measure(self, case: Case, seconds: float, turn: int = 0) -> Rate:
        return etcd_load(self.port(turn), case, seconds)


def make(name: str, parent: Path) -> System:
    """Return a system by the name it has on the command line."""
    if name == "redis":
        return Redis(parent)
    if name == "redis-fsync":
        return Redis(parent, "redis-server fsync", ["--appendonly", "yes", "--appendfsync", "always"])
    if name == "leader":
        return Redraft(parent)
    if name == "any":
        return Redraft(parent, groups=3)
    assert name == "etcd", name
    return Etcd(parent)


NAMES = ("redis", "redis-fsync", "leader", "any", "etcd")


def prepare(system: System, size: int) -> None:
    """Load the keyspace that cases with values of `size` bytes ask for."""
    system.fill(keyspace(size), size)
