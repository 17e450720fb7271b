"""Two lanes to one peer: order within each, urgency between them, and large frames in chunks."""

from __future__ import annotations

import os
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from redraft.base.limits import CHUNK_BYTES
from redraft.transport.frames import CHUNK, CHUNK_TOTAL, FIRST, HEADER, LAST, Buffer
from redraft.transport.sendqueue import SEND_BYTES_MAX, SendQueue, cut


def drained(queue: SendQueue) -> bytes:
    """All that is queued, as one stream."""
    stream = b""
    while pieces := queue.take():
        stream += b"".join(pieces)
        queue.sent(sum(map(len, pieces)))
    return stream


def test_sendqueue_urgent_goes_first() -> None:
    """What is urgent overtakes what is not; each lane keeps its order."""
    queue = SendQueue()
    for frame, urgent in ((b"a", False), (b"1", True), (b"b", False), (b"2", True)):
        queue.add(frame, urgent)
    assert drained(queue) == b"12ab"


def test_sendqueue_urgent_goes_between_chunks() -> None:
    """A frame of many chunks is begun; an urgent frame added then waits for one batch, not for its end."""
    queue = SendQueue()
    queue.add([b"h" * 8, bytes(8 * CHUNK_BYTES)], urgent=False)
    first = queue.take()
    batch = sum(map(len, first))
    assert batch <= SEND_BYTES_MAX + CHUNK_BYTES
    queue.add(b"urgent", urgent=True)
    queue.sent(batch)
    assert queue.take()[0] == b"urgent"
    assert drained(queue).endswith(bytes(8))
    assert queue.queued_bytes == 0


@given(st.lists(st.binary(max_size=30), max_size=20), st.lists(st.integers(1, 7), min_size=1), st.booleans())
def test_sendqueue_survives_any_partial_send(frames: list[bytes], counts: list[int], in_pieces: bool) -> None:
    """However little the socket takes at a time, the stream is the frames in order, and the count right."""
    queue = SendQueue()
    for frame in frames:
        pieces: list[Buffer] = [frame[:3], frame[3:]]
        queue.add(pieces if in_pieces else frame, urgent=False)
    assert queue.queued_bytes == sum(map(len, frames))
    stream, turn = b"", 0
    while queue.queued_bytes:
        count = min(counts[turn % len(counts)], queue.queued_bytes)
        offered = b"".join(queue.take())
        count = min(count, len(offered))
        stream += offered[:count]
        queue.sent(count)
        turn += 1
    assert stream == b"".join(frames)


@given(st.integers(1, 3 * CHUNK_BYTES + 1), st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=4))
def test_sendqueue_chunks_add_up(total: int, edges: list[int]) -> None:
    """The chunks of a frame, given in whatever pieces, carry its bytes; first, last and total are marked."""
    whole = (b"0123456789abcdef" * (total // 16 + 1))[:total]
    bounds = sorted({0, total, *(edge for edge in edges if edge < total)})
    pieces: list[Buffer] = [whole[low:high] for low, high in pairwise(bounds)]
    bodies = b""
    chunks = [b"".join(chunk) for chunk in cut(pieces, total)]
    for at, chunk in enumerate(chunks):
        length, kind, flags, _group = HEADER.unpack_from(chunk)
        assert (kind, length) == (CHUNK, len(chunk) - HEADER.size)
        assert bool(flags & FIRST) == (at == 0)
        assert bool(flags & LAST) == (at == len(chunks) - 1)
        body = chunk[HEADER.size :]
        if at == 0:
            assert int.from_bytes(body[:8], "little") == total
            body = body[8:]
        assert len(body) <= CHUNK_BYTES
        bodies += body
    assert bodies == whole


def test_sendqueue_offers_no_more_pieces_than_the_kernel_takes() -> None:
    """Frames of many small pieces (a catch-up append), and urgent ones by the thousand."""
    queue = SendQueue()
    for _ in range(10):
        queue.add([b"ab"] * 2_000, urgent=False)
    queue.add([b"c"] * (CHUNK_BYTES + 1), urgent=False)
    for _ in range(5_000):
        queue.add(b"u", urgent=True)
    expected = 10 * 4_000 + CHUNK_BYTES + 1 + 5_000 + 2 * HEADER.size + CHUNK_TOTAL.size
    total = 0
    while pieces := queue.take():
        assert len(pieces) <= os.sysconf("SC_IOV_MAX")
        size = sum(map(len, pieces))
        total += size
        queue.sent(size)
    assert total == expected
