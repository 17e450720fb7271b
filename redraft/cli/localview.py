"""What `redraft local` shows: the nodes as they come up, a banner, then news, one line each.

On a terminal the nodes are a table that lives until all are ready; elsewhere (a pipe, a file) every
change is a plain line.  Knows nothing of processes: it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from redraft import __version__
from redraft.cli.children import Child
from redraft.cli.localdir import LocalDirectory
from redraft.cli.statusview import number_ranges

STYLES = {"ready": "green", "starting": "dim"}


class LocalView:
    """The terminal (or file) of one `redraft local`."""

    def __init__(self, console: Console, directory: LocalDirectory) -> None:
        self._console = console
        self._directory = directory
        self._shown: dict[int, str] = {}
        self._live: Live | None = None

    def start(self, children: Sequence[Child]) -> None:
        """Say what is being started, and show the nodes' states from now on."""
        shape = self._directory.shape
        verb = "A new cluster" if self._directory.new else "Carrying on with the cluster"
        self._line(
            Text.assemble(
                ("redraft ", "bold"),
                (__version__, "bold"),
                f"  {verb} in {self._directory.path}: ",
                f"{_count(shape.nodes, 'node')}, {_count(shape.groups, 'group')}, engine {shape.engine}",
            )
        )
        if self._console.is_terminal:
            self._live = Live(
                self._table(children), console=self._console, auto_refresh=False, transient=True
            )
            self._live.start()

    def update(self, children: Sequence[Child]) -> None:
        """Show the nodes' present states."""
        if self._live is not None:
            self._live.update(self._table(children), refresh=True)
            return
        for child in children:
            state = child.state()
            if self._shown.get(child.number) != state:
                self._shown[child.number] = state
                self._line(Text(f"node {child.number}  {child.address.client}  {state}"))

    def settle(self, children: Sequence[Child]) -> None:
        """Leave the states as they are on the screen; nothing is redrawn from here on."""
        if self._live is not None:
            self._live.update(Text(""), refresh=True)
            self._live.stop()
            self._live = None
            self._console.print(self._table(children))

    def banner(self, children: Sequence[Child]) -> None:
        """Say what to type next."""
        shape = self._directory.shape
        port = shape.port
        at = "" if port == 6379 else f" --at 127.0.0.1:{port}"
        rows = [
            (f"redis-cli -p {port}", "talk to it; every node answers for the whole cluster"),
            (f"redis.Redis(port={port})", "the same from Python; any Redis client will do"),
            (f"redraft status{at}", "nodes, groups, leaders, lag"),
        ]
        if shape.nodes > 2:
            rows.append((f"kill -9 {children[1].pid}", "lose node 2, and no acknowledged write"))
        rows.append(("Ctrl-C", "stop; the same command carries on"))
        if not self._console.is_terminal:
            self._line(Text(f"The cluster is up: redis-cli -p {port}, redraft status{at}"))
            return
        grid = Table.grid(padding=(0, 3))
        for command, meaning in rows:
            grid.add_row(Text(command, style="bold cyan"), Text(meaning))
        self._console.print(
            Panel(grid, title="[bold green]The cluster is up[/]", box=ROUNDED, padding=(1, 2), expand=False)
        )

    def news(self, sentence: str, style: str = "") -> None:
        """Say one thing that happened."""
        moment = datetime.now().astimezone().strftime("%H:%M:%S")
        self._line(Text.assemble((f"{moment}  ", "dim"), (sentence, style)))

    def say(self, sentence: str) -> None:
        """Say one thing that needs no time."""
        self._line(Text(sentence))

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _table(self, children: Sequence[Child]) -> Group:
        table = Table.grid(padding=(0, 2))
        for child in children:
            state = child.state()
            style = STYLES.get(state, "red" if child.exit_code is not None else "yellow")
            waiting = child.running and not child.ready
            leads = [] if child.report is None else _led_by(child)
            table.add_row(
                Spinner("dots", style=style) if waiting else Text("●", style=style),
                Text(f"node {child.number}", style="bold"),
                child.address.client,
                Text(state, style=style),
                Text(
                    f"leads {'group' if len(leads) == 1 else 'groups'} {number_ranges(leads)}"
                    if leads
                    else ""
                ),
                Text(f"pid {child.pid}  log {child.log}", style="dim"),
            )
        return Group(Text(""), table, Text(""))


def _led_by(child: Child) -> list[int]:
    assert child.report is not None
    return [group.id for group in child.report.groups if group.role == "leader"]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
