"""One server process: started with its output in a file, killed, stopped, continued, asked to end.

Holds no knowledge of what the process is.  Always: a process started here is ended here, by its id;
and whoever finds one dead that nobody killed hears of it with the end of its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_S = 15.0
LOG_TAIL_BYTES = 8_192


class DiedError(AssertionError):
    """A process ended that nobody had ended; the message holds the end of its log."""


class Process:
    """A command that is run, again and again, with its output appended to one log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(environment)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Started and not ended by us; it may have died all the same, see `check`."""
        return self._child is not None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} is not running"
        return self._child.pid

    def start(self) -> None:
        assert self._child is None, f"{self.name} is running already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `DiedError` when the process ended and it was not us who ended it."""
        if self._child is not None and self._child.poll() is not None:
            code = self._child.returncode
            self._child = None
            raise DiedError(f"{self.name} ended by itself with code {code}\n{self.tail()}")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.check()
        self._end(signal.SIGKILL)

    def stop(self, timeout_s: float = STOP_S) -> int:
        """SIGTERM, and wait for a clean end; returns the exit code; raises when it does not end in time."""
        self.check()
        assert self._child is not None
        child = self._child
        child.terminate()
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)
            raise AssertionError(
                f"{self.name} did not end on SIGTERM in {timeout_s:g} s\n{self.tail()}"
            ) from None
        self._child = None
        return code

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for it to end by itself; returns the exit code."""
        assert self._child is not None
        code = self._child.wait(timeout_s)
        self._child = None
        return code

    def pause(self) -> None:
        """SIGSTOP; returns once the kernel says that it is stopped."""
        self.check()
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def discard(self) -> None:
        """End it whatever its state; for clean-up."""
        if self._child is not None:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)
        self._child.wait()
        self._child = None

    def tail(self) -> str:
        """The end of what it said."""
        if not self.log.exists():
            return "(no output)"
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
