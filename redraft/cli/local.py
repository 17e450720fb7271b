"""`redraft local`: a whole cluster on this machine, in the foreground, from one line.

Decides the order of things: directory, ports, nodes, banner, news, stop.  What is remembered is
`localdir`, processes are `children`, what is seen is `localview`.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import click
import trio
from rich.console import Console

from redraft.base.config import SETTING_BY_NAME
from redraft.base.configload import settings_in_file
from redraft.base.errors import ConfigError
from redraft.cli.children import Child, describe_exit, node_command
from redraft.cli.localdir import OWN_SETTINGS, PORT_SETTINGS, LocalDirectory
from redraft.cli.localview import LocalView
from redraft.cli.news import News
from redraft.cli.ports import check_ports

START_POLL_S = 0.1
NEWS_POLL_S = 1.0
SLOW_START_S = 15.0
SETTLE_S = 5.0  # right after the start leaders spread over the nodes, which is no news
STOP_S = 20.0
DOUBLE_SIGNAL_S = 0.5  # a terminal and a supervisor may both pass on one and the same Ctrl-C


@click.command()
@click.option("--nodes", type=int, metavar="N", help="How many nodes.  [default: 3]")
@click.option(
    "--groups", type=int, metavar="N", help="How many Raft groups the keys are split over.  [default: 3]"
)
@click.option(
    "--port",
    type=int,
    metavar="PORT",
    help="The first node's client port; the next ones follow.  [default: 6379]",
)
@click.option(
    "--dir",
    "path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=Path("redraft-data"),
    help="Where data, logs and the cluster's secret are kept.  [default: ./redraft-data]",
)
@click.option(
    "--engine",
    metavar="|".join(SETTING_BY_NAME["engine"].choices),
    help="What stores the keys.  [default: hash]",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    envvar="REDRAFT_CONFIG",
    help="A TOML file of further settings for every node.",
)
def local(path: Path, config_file: Path | None, **asked: int | str | None) -> int:
    """Run a whole cluster on this machine, in the foreground.

    Started again on the same directory it carries on where it was. Ctrl-C stops it cleanly.
    Other settings reach the nodes by --config or by REDRAFT_* variables (docs/configuration.md).
    """
    extra = _further_settings(config_file)
    directory = LocalDirectory.open(path, asked)
    try:
        check_ports(directory.configs(extra), "choose another with --port")
        directory.remember(extra)
        cluster = LocalCluster(directory, Console(), node_command())
        return trio.run(cluster.run)
    finally:
        directory.close()


def _further_settings(config_file: Path | None) -> dict[str, object]:
    if config_file is None:
        return {}
    values = settings_in_file(config_file)
    for name in values:
        if name in OWN_SETTINGS or name in PORT_SETTINGS or SETTING_BY_NAME[name].secret:
            raise ConfigError(
                f"{config_file} sets {name}, which `redraft local` decides itself: leave it out there."
            )
    return values


class LocalCluster:
    """The nodes of one `redraft local`, from the first process to the last."""

    def __init__(self, directory: LocalDirectory, console: Console, command: Sequence[str]) -> None:
        self._directory = directory
        self._command = command
        self._view = LocalView(console, directory)
        self.children = [
            Child(number, address, directory.log_of(number), directory.settings_of(number))
            for number, address in enumerate(directory.shape.addresses, start=1)
        ]
        self._up = False
        self._stopping = False
        self._stopping_since = 0.0
        self._ended = trio.Event()  # every node's process has ended
        self._code = 0

    async def run(self) -> int:
        """Run until the nodes are stopped or have died; return the exit code."""
        try:
            await self._run_nodes()
        finally:
            for child in self.children:  # none is left running, whatever happened to us
                child.abandon()
        self._view.settle(self.children)
        kept = f"What was acknowledged is kept in {self._directory.path}; the same command carries on."
        self._view.say(f"Stopped. {kept}" if self._code == 0 else "No node is left.")
        return self._code

    async def _run_nodes(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._forward_signals)
            for child in self.children:
                await child.start(self._command)
                nursery.start_soon(self._watch, child)
            self._view.start(self.children)
            nursery.start_soon(self._tell)
            await self._ended.wait()
            nursery.cancel_scope.cancel()

    async def _watch(self, child: Child) -> None:
        """Wait for a node's process to end and say so; the last one ends all."""
        code = await child.wait()
        if not self._stopping:
            self._tell_death(child, code)
        elif code != 0:
            self._view.news(
                f"Node {child.number} did not stop cleanly ({describe_exit(code)}); see {child.log}", "red"
            )
        if not any(each.running for each in self.children):
            self._code = self._code if self._stopping else 1
            self._ended.set()

    def _tell_death(self, child: Child, code: int) -> None:
        self._view.settle(self.children)
        words = child.last_words() if code > 0 else ""
        self._view.news(
            f"Node {child.number} has ended ({describe_exit(code)}); its log is {child.log}", "bold red"
        )
        if words:
            self._view.say(f"          {words}")
        if self._up:
            self._view.say(f"          Start it again with: redraft server --config {child.settings}")
        else:
            self._code = 1
            self._begin_stop()

    async def _tell(self) -> None:
        """Show the nodes until all are ready, then what changes."""
        with trio.move_on_after(SLOW_START_S) as patience:
            await self._until_ready()
        if patience.cancelled_caught:
            late = ", ".join(str(child.log) for child in self.children if not child.ready)
            self._view.settle(self.children)
            self._view.news(f"This takes longer than it should; see {late}", "yellow")
            await self._until_ready()
        if self._stopping:
            return
        self._up = True
        self._view.settle(self.children)
        self._view.banner(self.children)
        await self._tell_news()

    async def _until_ready(self) -> None:
        while not self._stopping:
            await self._ask(self.children)
            self._view.update(self.children)
            if all(child.ready for child in self.children):
                return
            await trio.sleep(START_POLL_S)

    async def _tell_news(self) -> None:
        """Ask one node now and then what has changed; the spreading of leaders after a start is no news."""
        news = News()
        settled_at = trio.current_time() + SETTLE_S
        while not self._stopping:
            witness = next((child for child in self.children if child.running), None)
            if witness is not None:
                await witness.ask()
                sentences = news.of(witness.report) if witness.report is not None else []
                if not self._stopping and trio.current_time() > settled_at:
                    for sentence in sentences:
                        self._view.news(sentence)
            await trio.sleep(NEWS_POLL_S)

    async def _ask(self, children: Sequence[Child]) -> None:
        async with trio.open_nursery() as nursery:
            for child in children:
                if child.running:
                    nursery.start_soon(child.ask)

    async def _forward_signals(self) -> None:
        """The first signal stops all nodes cleanly, the second one kills them."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                async for _ in signals:
                    if self._stopping:
                        if trio.current_time() - self._stopping_since > DOUBLE_SIGNAL_S:
                            self._kill("Second signal: the nodes are killed.")
                    else:
                        self._view.settle(self.children)
                        self._view.news("Stopping the nodes; once more Ctrl-C kills them.")
                        self._begin_stop()
                        nursery.start_soon(self._kill_late)

    def _begin_stop(self) -> None:
        self._stopping = True
        self._stopping_since = trio.current_time()
        for child in self.children:
            child.signal(signal.SIGTERM)

    async def _kill_late(self) -> None:
        await trio.sleep(STOP_S)
        self._kill(f"Not stopped after {STOP_S:g} s: the nodes are killed.")

    def _kill(self, sentence: str) -> None:
        self._code = 1
        self._view.news(sentence, "red")
        for child in self.children:
            child.signal(signal.SIGKILL)
