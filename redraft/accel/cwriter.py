"""The log's writer thread over `native/writer.c`; `pywriter` says what it does."""

from __future__ import annotations

import errno
from collections import deque
from typing import Any

from redraft.accel._native import ffi as _ffi
from redraft.accel._native import lib as _lib


class NativeWriter:
    """See `Writer`; keeps each batch alive until it is durable."""

    def __init__(self, event_fd: int, durable: int, chain: int) -> None:
        self._writer: Any = _lib.redraft_writer_start(event_fd, durable, chain)
        if self._writer == _ffi.NULL:
            raise OSError(errno.EAGAIN, "the log's writer thread can't be started")
        self._submit = _lib.redraft_writer_submit
        self._from_buffer = _ffi.from_buffer
        self._held: deque[Any] = deque()  # buffers of batches, oldest first
        self._held_first = durable + 1  # sequence of the oldest
        self._outcome: tuple[int, int] | None = None  # durable, error: once stopped

    def submit(self, fd: int, offset: int, batch: bytearray, seed: int, restart: bool) -> None:
        """Queue one batch for `offset` of `fd`."""
        buffer = self._from_buffer("uint8_t[]", batch)
        if self._submit(self._writer, fd, offset, buffer, len(batch), seed, restart):
            raise MemoryError("no memory for a log write")
        self._held.append(buffer)

    def durable(self) -> int:
        """Return the last sequence that is durable."""
        if self._outcome is not None:
            return self._outcome[0]
        durable = int(_lib.redraft_writer_durable(self._writer))
        held = self._held
        while self._held_first <= durable:
            held.popleft()
            self._held_first += 1
        return durable

    def error(self) -> int:
        """Return the errno of the failure that ended the writing, or 0."""
        return self._outcome[1] if self._outcome is not None else int(_lib.redraft_writer_error(self._writer))

    def step(self) -> None:
        """Do nothing: the thread does."""

    def stop(self) -> int:
        """Carry out what is queued, end the thread, and return the error."""
        if self._outcome is None:
            durable = _ffi.new("uint64_t *")
            error = int(_lib.redraft_writer_stop(self._writer, durable))
            self._outcome = (int(durable[0]), error)
            self._held.clear()
        return self._outcome[1]
