"""A thread for work on files that must not hold up the node: jobs in order, their ends reported back.

Use from one thread: `submit`, then `take_done` whenever `fileno` becomes readable; `done` is called from
there, never from the worker's thread.  Without a thread (tests, simulation) `step` does one job.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable

Job = Callable[[], None]
Done = Callable[[OSError | None], None]


class Worker:
    """Jobs may raise OSError, which is reported; anything else is a bug and ends the process."""

    __slots__ = ("_bug", "_changed", "_ended", "_event_fd", "_jobs", "_stopping", "_thread")

    def __init__(self, *, threaded: bool = True) -> None:
        self._jobs: deque[tuple[Job, Done]] = deque()
        self._ended: deque[tuple[Done, OSError | None]] = deque()
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._changed = threading.Condition()
        self._stopping = False
        self._bug: Exception | None = None
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="redraft-snapshots", daemon=True)
            self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Do `job` after those before it; `done` hears how it ended."""
        with self._changed:
            self._jobs.append((job, done))
            self._changed.notify()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `take_done` has something to do."""
        return self._event_fd

    def take_done(self) -> None:
        """Report all jobs that ended."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        if self._bug is not None:
            raise self._bug
        while self._ended:
            done, error = self._ended.popleft()
            done(error)

    def step(self) -> bool:
        """Do one job here and now; False when there is none."""
        if not self._jobs:
            return False
        self._do(*self._jobs.popleft())
        return True

    @property
    def busy(self) -> bool:
        """Whether jobs wait."""
        return bool(self._jobs)

    def close(self) -> None:
        """End the thread after the job it is at; the others are dropped, and none is reported."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        os.close(self._event_fd)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._jobs or self._stopping):
                    self._changed.wait()
                if self._stopping:
                    return
                job, done = self._jobs.popleft()
            try:
                self._do(job, done)
            except Exception as bug:  # noqa: BLE001 - raised again in the node's thread
                self._bug = bug
                os.eventfd_write(self._event_fd, 1)
                return

    def _do(self, job: Job, done: Done) -> None:
        error: OSError | None = None
        try:
            job()
        except OSError as failed:
            error = failed
        self._ended.append((done, error))
        os.eventfd_write(self._event_fd, 1)
