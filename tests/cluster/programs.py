"""The programs of Debian's redis-tools, run against a node: to their end, or at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from types import TracebackType

from tests.cluster.ports import HOST
from tests.cluster.waiting import DeadlineError

RUN_S = 60.0
READ_BYTES = 65_536


def run(program: str, port: int, *arguments: str, given: bytes | None = None) -> str:
    """Run `program` against `port` and return what it said; it must end well and in time."""
    command = [program, "-h", HOST, "-p", str(port), *arguments]
    ended = subprocess.run(command, input=given, capture_output=True, timeout=RUN_S, check=False)
    said = ended.stdout.decode() + ended.stderr.decode()
    assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}: {said}"
    return said


class Terminal:
    """redis-cli as a person uses it: at a terminal, line by line."""

    def __init__(self, port: int) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))  # without a size it asks the terminal for one
        environment = {**os.environ, "TERM": "xterm", "REDISCLI_HISTFILE": "/dev/null"}
        command = ["redis-cli", "-h", HOST, "-p", str(port)]
        self._child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.screen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._ours)

    def type(self, line: str) -> None:
        os.write(self._ours, line.encode() + b"\r")

    def expect(self, text: str, timeout_s: float = 10.0) -> None:
        """Read until `text` stands on the screen behind what was expected before."""
        deadline = time.monotonic() + timeout_s
        while text not in self.screen:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise DeadlineError(f"{text!r} is not on the screen: {self.screen!r}")
            self.screen += os.read(self._ours, READ_BYTES).decode("utf-8", "replace")
        self.screen = self.screen.split(text, 1)[1]
