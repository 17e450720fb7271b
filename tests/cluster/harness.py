"""A cluster of real `redraft server` processes on free ports of 127.0.0.1, for tests and benchmarks.

Owns the processes, their directories and logs, and the record of when each node was out (killed, or
stopped by a signal): what a client met then is excused, anything else is not.  Knows the command
line and the Redis protocol, nothing of the program's inside.  Nothing waits for time to pass, only
for conditions, each with a deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.cluster.ports import HOST, PRIMARY_DISTANCE, free_client_port
from tests.cluster.processes import Process
from tests.cluster.waiting import wait_until

READY_S = 60.0
SOCKET_TIMEOUT_S = 20.0
ROOT = Path(__file__).resolve().parents[2]
# One key per stretch of the slot space, so that every group of a small cluster is asked.
PROBES = [f"ready:{number}" for number in range(24)]

Command = Callable[[int, Sequence[int], Path], list[str]]


def redraft_command(*flags: str) -> Command:
    """Return how a `redraft server` is started, given its number, all client ports and its directory."""

    def command(number: int, ports: Sequence[int], directory: Path) -> list[str]:
        members = ",".join(f"{HOST}:{port}" for port in ports)
        listen = ("--listen", f"{HOST}:{ports[number]}")
        return [
            *(sys.executable, "-m", "redraft", "server"),
            *(*listen, "--cluster", members, "--dir", str(directory), *flags),
        ]

    return command


def server_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server: ours, without settings that stand in it by accident.

    The controller is off unless `settings` say otherwise: tests put replicas where they want them.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REDRAFT_")}
    if "REDRAFT_PURE" in os.environ:
        kept["REDRAFT_PURE"] = os.environ["REDRAFT_PURE"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "REDRAFT_CONTROLLER": "no"}
    return {**kept, **own, **(settings or {})}


def connect(port: int, *, timeout_s: float = SOCKET_TIMEOUT_S, **options: Any) -> redis.Redis:
    """Return a redis-py client that never sends anything twice: its default is to retry, INCR included."""
    return redis.Redis(
        host=HOST,
        port=port,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=options.pop("single_connection_client", False),
        **options,
    )


@dataclass
class Outage:
    """A stretch of time in which a node was out by our hand; `end` is when it served again."""

    start: float
    end: float = float("inf")


@dataclass
class Node:
    """One node: its number (from 0), client port, directory, process, and outages so far."""

    number: int
    port: int
    directory: Path
    process: Process
    outages: list[Outage] = field(default_factory=list)
    paused: bool = False

    @property
    def living(self) -> bool:
        return self.process.running and not self.paused

    def was_out(self, start: float, end: float) -> bool:
        """Whether any moment of [start, end] lies in an outage."""
        return any(outage.start <= end and start <= outage.end for outage in self.outages)

    def outage_begins(self) -> None:
        if not self.outages or self.outages[-1].end != float("inf"):
            self.outages.append(Outage(time.monotonic()))

    def outage_ends(self) -> None:
        if self.outages:
            self.outages[-1].end = min(self.outages[-1].end, time.monotonic())


class Cluster:
    """`size` nodes, each a process; a context manager that ends them and keeps their logs until then."""

    living: list[Cluster] = []

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 3,
        groups: int = 3,
        command: Command | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        first = free_client_port(size)
        ports = [first + number for number in range(size)]
        command = command or redraft_command("--groups", str(groups))
        self.environment = environment = server_environment(settings)
        self.nodes: list[Node] = []
        for number, port in enumerate(ports):
            data = directory / f"node-{number}"
            line = command(number, ports, data)
            process = Process(
                f"node {number} (port {port})", line, directory / f"node-{number}.log", environment
            )
            self.nodes.append(Node(number, port, data, process))

    def __enter__(self) -> Cluster:
        Cluster.living.append(self)
        try:
            self.start()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.discard()

    def discard(self) -> None:
        for node in self.nodes:
            node.process.discard()

    def forget(self) -> None:
        """Drop the logs and data: for those who start many."""
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- all nodes ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every node that is not running, all at once, and wait until all serve."""
        for node in self.nodes:
            if not node.process.running:
                node.process.start()
        self.wait_ready()

    def kill_all(self) -> None:
        for node in self.nodes:
            node.outage_begins()
        for node in self.nodes:
            node.process.kill()

    def stop(self) -> None:
        """SIGTERM to all, one after another, each a clean end."""
        for node in self.nodes:
            node.outage_begins()
            code = node.process.stop()
            assert code == 0, f"{node.process.name} ended with {code} on SIGTERM\n{node.process.tail()}"

    def check(self) -> None:
        """Raise when a node died by itself, or said that it met a bug of ours."""
        for node in self.nodes:
            node.process.check()
            assert "Traceback (most recent call last)" not in node.process.tail(), node.process.tail()

    def wait_ready(self, nodes: Sequence[Node] | None = None, timeout_s: float = READY_S) -> None:
        """Wait until each of `nodes` (default: all) answers a read of every group."""
        for node in self.nodes if nodes is None else nodes:
            wait_until(
                lambda node=node: self._serves(node),  # type: ignore[misc]
                timeout_s=timeout_s,
                what=f"{node.process.name} serves",
                expected=(redis.RedisError, OSError),
            )
            node.outage_ends()

    def _serves(self, node: Node) -> bool:
        node.process.check()
        with connect(node.port, timeout_s=5.0) as client:
            for probe in PROBES:
                client.get(probe)
        return True

    def wait_until_leaders_stay(self) -> None:
        """Wait until each living node names every group's first voter as its leader: none is handed over."""
        for node in [node for node in self.nodes if node.living]:
            wait_until(
                lambda node=node: led_by_first_voters(node),  # type: ignore[misc]
                timeout_s=READY_S,
                what=f"leaders are where they stay, by {node.process.name}",
                expected=(redis.RedisError, OSError),
            )

    # -- one node -------------------------------------------------------------------------------------

    def kill(self, node: Node) -> None:
        """kill -9."""
        node.outage_begins()
        node.process.kill()

    def restart(self, node: Node, *, wait: bool = True) -> None:
        """Start a killed or stopped node again on its directory."""
        node.process.start()
        if wait:
            self.wait_ready([node])

    def terminate(self, node: Node) -> None:
        """SIGTERM and a clean end."""
        node.outage_begins()
        code = node.process.stop()
        assert code == 0, f"{node.process.name} ended with {code} on SIGTERM\n{node.process.tail()}"

    def pause(self, node: Node) -> None:
        """SIGSTOP: the process keeps its sockets and its memory and does nothing."""
        node.outage_begins()
        node.process.pause()
        node.paused = True

    def resume(self, node: Node) -> None:
        """SIGCONT; the outage ends when the node serves again (`wait_ready`)."""
        node.process.resume()
        node.paused = False

    # -- asking ---------------------------------------------------------------------------------------

    def join(self, at: Node, port: int = 0, directory: Path | None = None) -> Node:
        """Start a new node in an empty directory (its own unless given) that joins by way of a member."""
        number = sum(1 for _ in self.directory.glob("node-*/"))
        port = port or free_client_port(1)
        data = directory or self.directory / f"node-{number}"
        flags = ("--listen", f"{HOST}:{port}", "--join", f"{HOST}:{at.port}", "--dir", str(data))
        line = [sys.executable, "-m", "redraft", "server", *flags]
        process = Process(
            f"node {number} (port {port})", line, self.directory / f"node-{number}.log", self.environment
        )
        node = Node(number, port, data, process)
        self.nodes.append(node)
        self.restart(node)
        return node

    def admin(self, at: Node, *words: str) -> subprocess.CompletedProcess[str]:
        """Run an admin command, `redraft WORDS... --at NODE`, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "redraft", *words, "--at", f"{HOST}:{at.port}"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )

    def others(self, node: Node) -> list[Node]:
        return [other for other in self.nodes if other is not node]

    def client(self, node: Node | int, **options: Any) -> redis.Redis:
        if isinstance(node, int):
            node = self.nodes[node]
        return connect(node.port, **options)

    def leader_of(self, key: str, at: Node | None = None, timeout_s: float = READY_S) -> Node:
        """Return the node that a living node names as the primary of the key's slot (CLUSTER SLOTS)."""

        def ask() -> Node | None:
            for node in [at] if at else self.nodes:
                if not node.living:
                    continue
                with connect(node.port, timeout_s=5.0) as client:
                    slot = int(client.execute_command("CLUSTER KEYSLOT", key))
                    port = primary_port(client.execute_command("CLUSTER SLOTS"), slot)
                for candidate in self.nodes:
                    if port in (candidate.port, candidate.port + PRIMARY_DISTANCE):
                        return candidate
            return None

        return wait_until(  # type: ignore[return-value]
            ask,
            timeout_s=timeout_s,
            what=f"somebody names the leader of {key!r}",
            expected=(redis.RedisError, OSError),
        )

    def tails(self) -> Iterator[tuple[str, str]]:
        """The end of each node's log, for the report of a failed test."""
        for node in self.nodes:
            with suppress(OSError):
                yield node.process.name, node.process.tail()


def led_by_first_voters(at: Node) -> bool:
    """Whether by one node each group is led by the voter that should lead it."""
    with connect(at.port) as client:
        groups = json.loads(client.execute_command("REDRAFT", "STATUS"))["groups"]
    return all(group["leader"] == group["voters"][0] for group in groups)


def primary_port(slots: Any, slot: int) -> int | None:
    """Return the primary's port of `slot` from what redis-py made of CLUSTER SLOTS, None if nobody has it."""
    if isinstance(slots, dict):
        for (low, high), row in slots.items():
            if int(low) <= slot <= int(high):
                return int(row["primary"][1]) or None
        return None
    for low, high, primary, *_ in slots:
        if int(low) <= slot <= int(high):
            return int(primary[1]) or None
    return None
