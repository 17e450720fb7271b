"""From the bytes of one peer's stream back to messages.

Owns the part of the stream not yet understood.  Invariants: every whole frame is decoded as soon as
its last byte is there; a byte is copied a bounded number of times however the stream is split (the
chunks of a large frame go straight to their place); memory is bounded by one frame of FRAME_BYTES_MAX
and one of CHUNK_BYTES.  A stream that breaks the grammar raises FrameError and must be given up.

Sans I/O: `room` says where the next bytes should go, `receive` and `filled` take them.
"""

from __future__ import annotations

from redraft.base.limits import CHUNK_BYTES, FRAME_BYTES_MAX
from redraft.transport.frames import CHUNK, CHUNK_TOTAL, FIRST, HEADER, LAST, FrameError, Message, decode

BODY_BYTES_MAX = CHUNK_BYTES + CHUNK_TOTAL.size
"""The longest body of a frame on the wire; what is larger comes in chunks."""

Messages = list[tuple[int, Message]]


class Receiver:
    """Takes the stream as it comes, returns (group, message) pairs as they are complete."""

    __slots__ = ("_chunk_ends", "_left", "_rest", "_view")

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a frame
        self._view: memoryview | None = None  # where the chunks of a large frame still have to go
        self._left = 0  # bytes of the current chunk still to come
        self._chunk_ends = False  # the current chunk is the last one

    @property
    def room(self) -> memoryview | None:
        """Where the next bytes belong, to be read directly; None: read into a buffer and `receive` it."""
        return self._view[: self._left] if self._view is not None and self._left else None

    @property
    def wanted_bytes(self) -> int:
        """How many bytes would complete the frame that has begun; 0 when none has."""
        rest = self._rest
        if len(rest) < HEADER.size:
            return 0
        return int.from_bytes(rest[:4], "little") + HEADER.size - len(rest)

    def receive(self, data: bytes) -> Messages:
        """Take the next bytes of the stream."""
        if self._rest:
            data = self._rest + data
        messages: Messages = []
        at = self._take_chunk(data, 0, messages) if self._left else 0
        size = len(data)
        while size - at >= HEADER.size:
            length, kind, flags, _group = HEADER.unpack_from(data, at)
            if length > BODY_BYTES_MAX:
                raise FrameError(f"a frame of {length} bytes came whole")
            end = at + HEADER.size + length
            if kind == CHUNK:
                at = self._begin_chunk(data, at + HEADER.size, length, flags)
                if at < 0:
                    at = end - length - HEADER.size
                    break
                at = self._take_chunk(data, at, messages)
                if self._left:
                    break
            elif end > size:
                break
            else:
                messages.append(decode(data, at, end))
                at = end
        self._rest = data[at:]
        return messages

    def filled(self, count: int) -> Messages:
        """`count` bytes were read into `room`."""
        assert self._view is not None
        assert count <= self._left
        self._view = self._view[count:]
        self._left -= count
        messages: Messages = []
        self._end_chunk(messages)
        return messages

    def _begin_chunk(self, data: bytes, at: int, length: int, flags: int) -> int:
        """Note what the chunk is; returns where its bytes begin, -1 when its head is not all there yet."""
        if flags & FIRST:
            if len(data) - at < CHUNK_TOTAL.size:
                return -1
            if self._view is not None or length < CHUNK_TOTAL.size:
                raise FrameError("chunks of two frames are mixed up")
            (total,) = CHUNK_TOTAL.unpack_from(data, at)
            if not HEADER.size <= total <= FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {total} bytes is announced")
            self._view = memoryview(bytearray(total))
            at += CHUNK_TOTAL.size
            length -= CHUNK_TOTAL.size
        if self._view is None or length == 0 or length > len(self._view):
            raise FrameError("a chunk has no place in its frame")
        self._left = length
        self._chunk_ends = bool(flags & LAST)
        if self._chunk_ends != (length == len(self._view)):
            raise FrameError("a chunk is the last and not the last")
        return at

    def _take_chunk(self, data: bytes, at: int, messages: Messages) -> int:
        assert self._view is not None
        count = min(self._left, len(data) - at)
        self._view[:count] = memoryview(data)[at : at + count]
        self._view = self._view[count:]
        self._left -= count
        self._end_chunk(messages)
        return at + count

    def _end_chunk(self, messages: Messages) -> None:
        if self._left == 0 and self._chunk_ends:
            assert self._view is not None
            assert not self._view
            whole = self._view.obj
            assert isinstance(whole, bytearray)
            self._view = None
            self._chunk_ends = False
            messages.append(decode(memoryview(whole)))
