"""The log's writer in plain Python: the twin of native/writer.c, and the one that tests step by hand.

Takes batches in order, seals them (`batch_seal`), writes them, syncs, and tells an eventfd.  All that
queued while the last fdatasync ran goes out before the next; a batch in a later file is written only
when the earlier file is synced.  The first failure is final: nothing is written after it.

The system calls are handed in, so that a test's file system can stand behind it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from redraft.accel.record import BATCH_HEADER, batch_seal


class Writer(Protocol):
    """What the log asks of its writer; errors are errno numbers, 0 for none."""

    def submit(self, fd: int, offset: int, batch: bytearray, seed: int, restart: bool) -> None:
        """Queue one batch, which is the writer's from now on; `restart` says that a segment begins here."""

    def durable(self) -> int:
        """Return the last sequence that is durable."""

    def error(self) -> int:
        """Return the errno of the failure that ended the writing, or 0."""

    def step(self) -> None:
        """Carry out what is queued, when no thread does."""

    def stop(self) -> int:
        """Carry out what is queued, end, and return the error."""


class _Job(NamedTuple):
    fd: int
    offset: int
    batch: bytearray
    seed: int
    restart: bool


def write_all(
    pwrite: Callable[[int, memoryview, int], int], fd: int, data: bytes | bytearray, offset: int
) -> None:
    """Write all of `data`, however little each call takes."""
    view = memoryview(data)
    while view:
        wrote = pwrite(fd, view, offset)
        if wrote == 0:
            raise OSError(errno.EIO, "nothing was written")
        view, offset = view[wrote:], offset + wrote


class PythonWriter:
    """See `Writer`; runs a thread of its own, or in `step()` when `threaded` is false."""

    def __init__(
        self,
        event_fd: int,
        durable: int,
        chain: int,
        *,
        threaded: bool = True,
        pwrite: Callable[[int, memoryview, int], int] = os.pwrite,
        fdatasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._event_fd = event_fd
        self._durable = durable
        self._error = 0
        self._chain = chain
        self._pwrite = pwrite
        self._fdatasync = fdatasync
        self._jobs: deque[_Job] = deque()
        self._queued = threading.Condition()
        self._stopping = False
        self._thread = (
            threading.Thread(target=self._run, name="redraft-log", daemon=True) if threaded else None
        )
        if self._thread is not None:
            self._thread.start()

    def submit(self, fd: int, offset: int, batch: bytearray, seed: int, restart: bool) -> None:
        """Queue one batch for `offset` of `fd`."""
        with self._queued:
            self._jobs.append(_Job(fd, offset, batch, seed, restart))
            self._queued.notify()

    def durable(self) -> int:
        """Return the last sequence that is durable."""
        return self._durable

    def error(self) -> int:
        """Return the errno of the failure that ended the writing, or 0."""
        return self._error

    def step(self) -> None:
        """Carry out what is queued, and tell the eventfd."""
        with self._queued:
            jobs, self._jobs = self._jobs, deque()
        if not jobs or self._error:
            return
        try:
            self._carry_out(list(jobs))
        except OSError as error:
            self._error = error.errno or errno.EIO
        os.eventfd_write(self._event_fd, 1)

    def stop(self) -> int:
        """Carry out what is queued, end the thread, and return the error."""
        if self._thread is None:
            self.step()
            return self._error
        with self._queued:
            self._stopping = True
            self._queued.notify()
        self._thread.join()
        return self._error

    def _run(self) -> None:
        while True:
            with self._queued:
                while not self._jobs and not self._stopping:
                    self._queued.wait()
                if not self._jobs:
                    return
            self.step()

    def _carry_out(self, jobs: list[_Job]) -> None:
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            self._chain = batch_seal(
                job.batch, job.seed, job.seed if job.restart else self._chain, self._durable
            )
            write_all(self._pwrite, job.fd, job.batch, job.offset)
            if following is None or following.fd != job.fd:
                self._fdatasync(job.fd)
                self._durable = BATCH_HEADER.unpack_from(job.batch)[2]
