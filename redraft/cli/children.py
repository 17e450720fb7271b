"""The nodes of `redraft local` as processes: started, watched, asked for their state, stopped.

A child runs in a process group of its own (Ctrl-C reaches only us, and we pass it on once) and reads
a pipe whose other end we hold, so that it stops cleanly even if we are killed.  Nothing is restarted:
a node that dies is news, and what to do about it is the user's choice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from redraft.base.address import Address
from redraft.base.config import SETTINGS
from redraft.cli.localdir import OWN_SETTINGS, PORT_SETTINGS
from redraft.cli.report import NoAnswerError, Report, ask_report

ANSWER_TIMEOUT_S = 2.0
LOG_TAIL_BYTES = 4096


class Child:
    """One node's process, and what is known of the node; `report` is its last answer, if any."""

    def __init__(self, number: int, address: Address, log: Path, settings: Path) -> None:
        self.number = number
        self.address = address
        self.log = log
        self.settings = settings
        self.report: Report | None = None
        self.exit_code: int | None = None
        self._process: trio.Process | None = None
        self._log_start = 0

    async def start(self, command: Sequence[str]) -> None:
        """Start the process; its output goes to the end of its log file."""
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = await trio.lowlevel.open_process(
                [*command, "--config", str(self.settings), "--stop-with-stdin"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment_of_nodes(),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None, "a child is started before it is asked about"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended, as far as `wait` knows."""
        return self._process is not None and self.exit_code is None

    @property
    def ready(self) -> bool:
        """Whether the node said that it can serve."""
        return self.running and self.report is not None and self.report.ready

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once the process has ended."""
        assert self._process is not None, "a child is started before it is waited for"
        self.exit_code = await self._process.wait()
        await self.let_go()
        return self.exit_code

    async def ask(self) -> None:
        """Refresh `report`; a node that does not answer keeps its last one."""
        try:
            self.report = await ask_report(self.address, ANSWER_TIMEOUT_S)
        except NoAnswerError:
            if not self.running:
                self.report = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(number)

    def abandon(self) -> None:
        """Kill the process if it still runs: for when we can't go on ourselves."""
        self.signal(signal.SIGKILL)

    async def let_go(self) -> None:
        """Close our end of the process's standard input, as our own death would."""
        assert self._process is not None
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    def state(self) -> str:
        """What to call the state it is in."""
        if self.exit_code is not None:
            return f"ended: {describe_exit(self.exit_code)}"
        if self.report is None:
            return "starting"
        if self.report.ready:
            return "ready"
        alive = sum(row.alive for row in self.report.nodes)
        return "waiting for the other nodes" if alive * 2 <= len(self.report.nodes) else "electing leaders"

    def last_words(self) -> str:
        """The last line the process logged since it was started, "" if there is none."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def node_command() -> list[str]:
    """The command a node is started with, before its settings: this very installation."""
    return [sys.executable, "-m", "redraft", "server"]


def environment_of_nodes() -> dict[str, str]:
    """Our environment without the variables whose settings `redraft local` decides itself."""
    decided = {
        each.variable for each in SETTINGS if each.name in (*OWN_SETTINGS, *PORT_SETTINGS) or each.secret
    }
    return {name: value for name, value in os.environ.items() if name not in decided | {"REDRAFT_CONFIG"}}
