"""Makes the next segment and clears old ones away behind the log's back: no write waits for either.

Owns one spare segment at most.  A full disk is a state (`full`), tried again every `retry_s`, and when
something was cleared away; any other failure is final (`failure`).  The eventfd tells of each outcome.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from redraft.wal.files import Files
from redraft.wal.segment import SegmentHeader, make_segment, publish_segment


class Spare(NamedTuple):
    """A segment that is ready: open, zero-filled, durable."""

    header: SegmentHeader
    fd: int
    size: int


class Preparer:
    """Use from one thread: `request`, then `spare` until it is there, then `take`."""

    def __init__(
        self, files: Files, directory: Path, event_fd: int, *, retry_s: float, threaded: bool
    ) -> None:
        self.spare: Spare | None = None
        self.full = False
        self.failure: OSError | None = None
        self._files = files
        self._directory = directory
        self._event_fd = event_fd
        self._retry_s = retry_s
        self._wanted: tuple[SegmentHeader, int] | None = None
        self._clearing: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = (
            threading.Thread(target=self._run, name="redraft-spare", daemon=True) if threaded else None
        )
        if self._thread is not None:
            self._thread.start()

    def request(self, header: SegmentHeader, size: int) -> None:
        """Ask for a segment; `header.number` follows the last one taken."""
        assert self.spare is None
        assert self._wanted is None
        with self._changed:
            self._wanted = (header, size)
            self._changed.notify()

    def remove(self, path: Path) -> None:
        """Have a segment removed that the log no longer needs."""
        self._clear(lambda: self._files.remove(path))

    def cut(self, path: Path, size: int) -> None:
        """Have what is left over of a full segment given back."""
        self._clear(lambda: self._files.truncate(path, size))

    def take(self) -> Spare | None:
        """Return the spare if it is ready; it is the caller's from then on."""
        spare, self.spare = self.spare, None
        return spare

    def step(self) -> None:
        """Clear away what is to go, and try once to make what is wanted."""
        while self._clearing and self.failure is None:
            try:
                self._clearing[0]()
            except OSError as error:
                self.failure = error
                os.eventfd_write(self._event_fd, 1)
            else:
                self._clearing.popleft()
        wanted = self._wanted
        if wanted is None or self.failure is not None:
            return
        header, size = wanted
        try:
            fd = make_segment(self._files, self._directory, header, size)
            publish_segment(self._files, self._directory, header.number)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.full = True
            else:
                self.failure = error
        else:
            self.full = False
            self._wanted = None
            self.spare = Spare(header, fd, size)
        os.eventfd_write(self._event_fd, 1)

    def stop(self) -> None:
        """End the thread; a spare that nobody took is closed, and recovery clears it away."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        spare = self.take()
        if spare is not None:
            self._files.close(spare.fd)

    def _clear(self, job: Callable[[], None]) -> None:
        with self._changed:
            self._clearing.append(job)
            self._changed.notify()

    @property
    def _idle(self) -> bool:
        return self.failure is not None or (self._wanted is None and not self._clearing)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and self._idle:
                    self._changed.wait()
                if self._stopping:
                    return
            self.step()
            with self._changed:
                if self.full and not self._stopping and not self._clearing:
                    self._changed.wait(self._retry_s)
