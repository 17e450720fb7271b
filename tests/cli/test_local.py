"""`redraft local` against stand-in nodes: what is shown, what a death or a signal does."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from rich.console import Console

from redraft.cli import children, local
from redraft.cli.local import LocalCluster
from redraft.cli.localdir import LocalDirectory
from tests.cluster.ports import free_client_port

FAKE_NODE = str(Path(__file__).with_name("fake_node.py"))
PATIENCE_S = 30.0


class Screen(io.StringIO):
    """What a console wrote; `shows` waits for a text to appear on it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = trio.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self._changed.set()
        self._changed = trio.Event()
        return count

    async def shows(self, text: str) -> None:
        """Return once the text is on the screen."""
        with trio.fail_after(PATIENCE_S):
            while text not in self.getvalue():
                await self._changed.wait()


class Running:
    """A local cluster of stand-ins while it runs; `code` is its exit code after that."""

    def __init__(self, directory: LocalDirectory, behaviours: tuple[str, ...], *, terminal: bool) -> None:
        self.screen = Screen()
        console = Console(file=self.screen, force_terminal=terminal, width=120)
        self.cluster = LocalCluster(directory, console, [sys.executable, FAKE_NODE, *behaviours])
        self.code: int | None = None

    async def run(self) -> None:
        self.code = await self.cluster.run()

    @property
    def text(self) -> str:
        return self.screen.getvalue()


@asynccontextmanager
async def running(
    directory: LocalDirectory, *behaviours: str, terminal: bool = False
) -> AsyncIterator[Running]:
    """Run a local cluster in the background; the block must bring it to an end."""
    directory.remember({})
    one = Running(directory, behaviours, terminal=terminal)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            yield one


@pytest.fixture
def directory(tmp_path: Path) -> LocalDirectory:
    """A new local directory with free ports."""
    return LocalDirectory.open(tmp_path / "data", {"port": free_client_port(3)})


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def test_local_shows_each_node_and_stops_cleanly(directory: LocalDirectory) -> None:
    """Each node's state is a line, then the cluster is up; Ctrl-C ends it with exit code 0."""
    async with running(directory) as one:
        await one.screen.shows("The cluster is up")
        interrupt()
    assert one.code == 0
    for number, address in enumerate(directory.shape.addresses, 1):
        assert f"node {number}  {address.client}  ready" in one.text
    assert f"redis-cli -p {directory.shape.port}" in one.text
    assert "Stopped." in one.text
    assert "\x1b" not in one.text


async def test_local_draws_a_banner_on_a_terminal(directory: LocalDirectory) -> None:
    """On a terminal there is a box with what to type next."""
    async with running(directory, terminal=True) as one:
        await one.screen.shows("Ctrl-C")
        interrupt()
    assert "╭" in one.text
    assert "leads group 3" in one.text
    assert f"kill -9 {one.cluster.children[1].pid}" in one.text


async def test_local_says_when_a_node_is_killed(directory: LocalDirectory) -> None:
    """A node that dies later is named with its signal and log; the others run on; nothing restarts it."""
    async with running(directory) as one:
        await one.screen.shows("The cluster is up")
        os.kill(one.cluster.children[1].pid, signal.SIGKILL)
        await one.screen.shows("Start it again")
        assert [child.running for child in one.cluster.children] == [True, False, True]
        interrupt()
    assert "Node 2 has ended (killed by SIGKILL)" in one.text
    assert str(directory.log_of(2)) in one.text
    assert f"redraft server --config {directory.settings_of(2)}" in one.text
    assert one.code == 0


async def test_local_gives_up_when_a_node_can_not_start(directory: LocalDirectory) -> None:
    """A node that fails before the cluster was up ends it all, with the node's own sentence."""
    async with running(directory, "2:dies") as one:
        pass
    assert one.code == 1
    assert "Node 2 has ended (exit code 1)" in one.text
    assert "The moon is in the wrong quarter." in one.text
    assert not any(child.running for child in one.cluster.children)


async def test_local_kills_on_a_second_signal(
    directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that does not stop is killed when asked once more, and the exit code says so."""
    monkeypatch.setattr(local, "DOUBLE_SIGNAL_S", -1.0)
    async with running(directory, "3:deaf") as one:
        await one.screen.shows("The cluster is up")
        interrupt()
        await one.screen.shows("Stopping the nodes")
        interrupt()
    assert one.code == 1
    assert "Node 3 did not stop cleanly (killed by SIGKILL)" in one.text


async def test_local_takes_two_signals_at_once_for_one(directory: LocalDirectory) -> None:
    """A terminal and a supervisor may both pass on the same Ctrl-C; that is no reason to kill."""
    async with running(directory) as one:
        await one.screen.shows("The cluster is up")
        interrupt()
        interrupt()
    assert one.code == 0


async def test_local_says_when_it_takes_long(
    directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the logs of the nodes that are late are named."""
    monkeypatch.setattr(local, "SLOW_START_S", 0.0)
    async with running(directory, "3:late") as one:
        await one.screen.shows("longer than it should")
        await one.screen.shows("node 3  " + directory.shape.addresses[2].client + "  electing leaders")
        interrupt()
    assert one.code == 0
    assert "The cluster is up" not in one.text


async def test_local_nodes_stop_when_it_is_gone(directory: LocalDirectory) -> None:
    """A node whose standard input closes stops: a killed `redraft local` leaves no node behind."""
    async with running(directory) as one:
        await one.screen.shows("The cluster is up")
        for child in one.cluster.children:
            await child.let_go()
    assert one.code == 1
    assert "No node is left." in one.text


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_children_describe_exit_codes(code: int, words: str) -> None:
    """An exit code is told as people say it."""
    assert children.describe_exit(code) == words


def test_children_environment_keeps_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """REDRAFT_MAXMEMORY reaches the nodes; what `redraft local` decides itself does not."""
    for name in ("MAXMEMORY", "LISTEN", "DIR", "PEER_PORT", "CONFIG", "CLUSTER_SECRET"):
        monkeypatch.setenv(f"REDRAFT_{name}", "1")
    kept = {name for name in children.environment_of_nodes() if name.startswith("REDRAFT_")}
    assert "REDRAFT_MAXMEMORY" in kept
    assert not kept & {
        f"REDRAFT_{name}" for name in ("LISTEN", "DIR", "PEER_PORT", "CONFIG", "CLUSTER_SECRET")
    }


def test_local_command_runs_this_installation() -> None:
    """Nodes are started with the interpreter that runs the command itself."""
    build: Callable[[], list[str]] = children.node_command
    assert build() == [sys.executable, "-m", "redraft", "server"]
