"""From a stream, however it is split, back to messages; and what a broken stream may not do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.base.limits import CHUNK_BYTES, FRAME_BYTES_MAX
from redraft.transport.frames import CHUNK, CHUNK_TOTAL, FIRST, HEADER, LAST, FrameError, Message, encode
from redraft.transport.messages import ExpireRequest, ForwardPart
from redraft.transport.receiver import Messages, Receiver
from redraft.transport.sendqueue import SendQueue

SIZES = st.one_of(st.integers(0, 100), st.integers(0, 100), st.integers(0, 4 * CHUNK_BYTES))


def stream_of(messages: list[Message]) -> bytes:
    """What a link would send."""
    queue = SendQueue()
    for message in messages:
        queue.add(encode(1, message), urgent=False)
    stream = b""
    while pieces := queue.take():
        stream += b"".join(pieces)
        queue.sent(sum(map(len, pieces)))
    return stream


def feed(receiver: Receiver, data: bytes, *, direct: bool) -> Messages:
    """Give the receiver these bytes as a link would: into its room where it has some."""
    messages: Messages = []
    while data:
        room = receiver.room
        if direct and room is not None:
            count = min(len(room), len(data))
            room[:count] = data[:count]
            messages += receiver.filled(count)
            data = data[count:]
        else:
            return messages + receiver.receive(data)
    return messages


@given(st.lists(SIZES, max_size=5), st.lists(st.integers(1, 300_000)), st.booleans())
def test_receiver_does_not_care_how_it_is_split(parts: list[int], sizes: list[int], direct: bool) -> None:
    """Any split of the stream gives the same messages, chunks read in place or not."""
    sent: list[Message] = [ForwardPart((b"0123456789" * (size // 10 + 1))[:size]) for size in parts]
    stream = stream_of(sent)
    receiver = Receiver()
    received: Messages = []
    for size in sizes:
        received += feed(receiver, stream[:size], direct=direct)
        stream = stream[size:]
    received += feed(receiver, stream, direct=direct)
    assert received == [(1, message) for message in sent]
    assert receiver.wanted_bytes == 0


def test_receiver_takes_single_bytes() -> None:
    """A stream that comes byte by byte gives each message with its last byte."""
    sent: list[Message] = [ExpireRequest(7), ForwardPart(b"abc")]
    receiver = Receiver()
    received = [receiver.receive(bytes([byte])) for byte in stream_of(sent)]
    assert [len(messages) for messages in received].count(1) == 2
    assert received[-1] == [(1, ForwardPart(b"abc"))]


def test_receiver_lets_frames_between_chunks() -> None:
    """A small frame between the chunks of a large one is delivered first, and harms nothing."""
    large = ForwardPart(bytes(3 * CHUNK_BYTES))
    stream = stream_of([large])
    edge = HEADER.size + CHUNK_TOTAL.size + CHUNK_BYTES
    receiver = Receiver()
    assert receiver.receive(stream[:edge]) == []
    assert receiver.receive(stream_of([ExpireRequest(1)])) == [(1, ExpireRequest(1))]
    assert receiver.receive(stream[edge:]) == [(1, large)]


def test_receiver_says_what_it_wants() -> None:
    """The beginning of a frame tells how many bytes would complete it."""
    stream = stream_of([ForwardPart(bytes(100_000))])
    receiver = Receiver()
    receiver.receive(stream[:50])
    assert receiver.wanted_bytes == len(stream) - 50


def chunk(flags: int, body: bytes, total: int = 0) -> bytes:
    """A CHUNK frame by hand."""
    head = CHUNK_TOTAL.pack(total) if flags & FIRST else b""
    return HEADER.pack(len(head) + len(body), CHUNK, flags, 0) + head + body


@pytest.mark.parametrize(
    "stream",
    [
        HEADER.pack(CHUNK_BYTES * 2, 0x40, 0, 0),
        HEADER.pack(4, CHUNK, FIRST, 0) + bytes(20),
        chunk(FIRST, b"x", FRAME_BYTES_MAX + 1),
        chunk(FIRST, b"x", 3),
        chunk(0, b"x"),
        chunk(FIRST, b"", 100),
        chunk(FIRST, b"x" * 20, 10),
        chunk(FIRST | LAST, b"x" * 20, 30),
        chunk(FIRST, b"x" * 20, 30) + chunk(FIRST, b"x" * 20, 30),
        chunk(FIRST, b"x" * 20, 30) + chunk(0, b"x" * 11),
        chunk(FIRST, b"x" * 20, 30) + chunk(0, b"x" * 10),
        chunk(FIRST | LAST, b"x" * 30, 30),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_receiver_gives_up_broken_streams(stream: bytes) -> None:
    """Frames too large, chunks without a beginning, and other nonsense raise FrameError."""
    with pytest.raises(FrameError):
        Receiver().receive(stream)


@given(st.lists(st.binary(max_size=60)))
def test_receiver_of_noise_raises_nothing_else(pieces: list[bytes]) -> None:
    """Noise is either refused or waited on."""
    receiver = Receiver()
    try:
        for piece in pieces:
            receiver.receive(piece)
    except FrameError:
        return
