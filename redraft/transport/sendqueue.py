"""What waits to be sent to one peer: two lanes, cut into pieces between which the urgent lane may go.

Owns the order of frames on a link.  Invariants: frames of one lane leave in the order they were added;
an urgent frame waits for at most `SEND_BYTES_MAX` bytes of the other lane; a frame larger than
CHUNK_BYTES leaves as CHUNK frames with nothing of its own lane between them; bytes are shared with the
message they came from, not copied.

Sans I/O: `take` says what the next send should offer, `sent` how much of it went.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from redraft.base.limits import CHUNK_BYTES
from redraft.transport.frames import CHUNK, CHUNK_TOTAL, FIRST, HEADER, LAST, Buffer, Frame

SEND_BYTES_MAX = 512 * 1024
"""Offered to the socket at once (and one frame more): what an urgent frame may have to wait for."""
PIECES_MAX = 256
"""Pieces offered at once (and as many of one more frame); the kernel takes 1024."""


class SendQueue:
    """Frames on their way to one peer; `queued_bytes` counts those not yet sent."""

    __slots__ = ("_offered", "_ordinary", "_urgent", "queued_bytes")

    def __init__(self) -> None:
        self._offered: list[Buffer] = []
        self._urgent: list[Buffer] = []
        self._ordinary: deque[list[Buffer]] = deque()
        self.queued_bytes = 0

    def add(self, frame: Frame, urgent: bool) -> None:
        """Queue a frame; an urgent one is small, hence in one piece."""
        pieces: list[Buffer] = [frame] if isinstance(frame, bytes) else frame
        size = sum(map(len, pieces))
        if size > CHUNK_BYTES:
            assert not urgent, "an urgent frame is small"
            for chunk in cut(pieces, size):
                self._ordinary.append(chunk)
                self.queued_bytes += sum(map(len, chunk))
            return
        self.queued_bytes += size
        if urgent:
            self._urgent.extend(pieces)
        else:
            self._ordinary.append(few(pieces))

    def take(self) -> list[Buffer]:
        """Return what to send next, urgent frames first; what was not `sent` comes again."""
        offered = self._offered
        if not offered:
            offered.extend(few(self._urgent))
            self._urgent.clear()
            ordinary = self._ordinary
            size = 0
            while ordinary and size < SEND_BYTES_MAX and len(offered) < PIECES_MAX:
                pieces = ordinary.popleft()
                offered.extend(pieces)
                size += sum(map(len, pieces))
        return offered

    def sent(self, count: int) -> None:
        """The first `count` bytes of what `take` returned are gone."""
        self.queued_bytes -= count
        offered = self._offered
        whole = 0
        for piece in offered:
            if len(piece) > count:
                break
            count -= len(piece)
            whole += 1
        del offered[:whole]
        if count:
            offered[0] = memoryview(offered[0])[count:]


def cut(pieces: list[Buffer], total: int) -> Iterator[list[Buffer]]:
    """Yield the CHUNK frames of a frame given in pieces of `total` bytes."""
    views = deque(memoryview(piece) for piece in pieces)
    left = total
    while left:
        size = min(CHUNK_BYTES, left)
        flags = (FIRST if left == total else 0) | (LAST if left == size else 0)
        head = CHUNK_TOTAL.pack(total) if flags & FIRST else b""
        left -= size
        chunk: list[Buffer] = [HEADER.pack(size + len(head), CHUNK, flags, 0) + head]
        while size:
            view = views.popleft()
            if len(view) > size:
                views.appendleft(view[size:])
                view = view[:size]
            chunk.append(view)
            size -= len(view)
        yield few(chunk)


def few(pieces: list[Buffer]) -> list[Buffer]:
    """Join pieces that are many, hence small: a catch-up append holds hundreds of entries."""
    return pieces if len(pieces) <= PIECES_MAX else [b"".join(pieces)]
