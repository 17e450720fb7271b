"""The wire format: golden bytes, round trips, and what comes of bytes that are no frames."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Leads,
    Ping,
    Pong,
    RequestVote,
    Support,
    TimeoutNow,
    VoteReply,
    Withdraw,
)
from redraft.raft.types import Entry
from redraft.transport.frames import REPLIES_MAX, FrameError, Message, decode, encode
from redraft.transport.messages import (
    ExpireRequest,
    ForwardPart,
    ForwardRead,
    LoadReport,
    Outcome,
    PartReply,
    Published,
    ReadIndexReply,
    ReadIndexRequest,
    ReadReply,
)

GOLDEN: list[tuple[int, Message, str]] = [
    (1, RequestVote(5, True, 7, 4, False), "26:4 20 00 1:2 5:8 01 7:8 4:8 00"),
    (1, VoteReply(5, False, True), "10:4 21 00 1:2 5:8 00 01"),
    (
        2,
        AppendEntries(3, 10, 2, 9, (Entry(2, 11, 0, b""), Entry(3, 12, 1, b"ab"))),
        "64:4 22 00 2:2 3:8 10:8 2:8 9:8 2:4 2:8 00 0:4 3:8 01 2:4 6162",
    ),
    (2, AppendReply(3, False, 10, 8, 1), "33:4 23 00 2:2 3:8 00 10:8 8:8 1:8"),
    (2, TimeoutNow(3), "8:4 24 00 2:2 3:8"),
    (2, InstallSnapshot(3, 40, 2, 9, 7, b"ab"), "42:4 25 00 2:2 3:8 40:8 2:8 9:8 7:8 6162"),
    (2, InstallSnapshotReply(3, 40, 2, 9, True), "33:4 26 00 2:2 3:8 40:8 2:8 9:8 01"),
    (0, Ping(1, 2, 3, 1), "28:4 30 00 0:2 1:8 2:8 3:8 1:4"),
    (0, Pong(1, 2, 3, 2), "28:4 31 00 0:2 1:8 2:8 3:8 2:4"),
    (0, Leads(6, True, ((1, 5),)), "23:4 32 00 0:2 6:8 01 1:4 1:2 5:8"),
    (0, Support(((1, 5),)), "14:4 33 00 0:2 1:4 1:2 5:8"),
    (0, Withdraw(()), "4:4 34 00 0:2 0:4"),
    (9, ForwardPart(b"part"), "4:4 40 00 9:2 70617274"),
    (
        9,
        PartReply(2, 3, Outcome.DONE, [b"+a\r\n", b":1\r\n"]),
        "37:4 41 00 9:2 2:8 3:8 00 2:4 4:4 4:4 2b610d0a 3a310d0a",
    ),
    (9, PartReply(2, 3, Outcome.DONE, [b"+a\r\n", b"+a\r\n"]), "25:4 41 01 9:2 2:8 3:8 00 2:4 2b610d0a"),
    (9, PartReply(2, 3, Outcome.NOT_LEADER, []), "21:4 41 00 9:2 2:8 3:8 01 0:4"),
    (9, ForwardRead(4, [(1, 2), (2, 3)], b"get"), "23:4 42 00 9:2 4:8 2:4 2:4 5:4 676574"),
    (9, ReadReply(4, Outcome.DONE, [b"_\r\n"]), "20:4 43 00 9:2 4:8 00 1:4 3:4 5f0d0a"),
    (9, ReadIndexRequest(4), "8:4 44 00 9:2 4:8"),
    (9, ReadIndexReply(4, True, 7, 8), "25:4 45 00 9:2 4:8 01 7:8 8:8"),
    (9, ExpireRequest(8), "8:4 46 00 9:2 8:8"),
    (0, Published(True, b"ab", b"c"), "8:4 47 00 0:2 01 2:4 6162 63"),
    (65535, LoadReport(b"load"), "4:4 48 00 65535:2 6c6f6164"),
]


def unfold(golden: str) -> bytes:
    """Read hex, and NUMBER:SIZE for little-endian numbers."""
    numbers = (token.partition(":") for token in golden.split())
    return b"".join(
        int(left).to_bytes(int(size), "little") if size else bytes.fromhex(left) for left, _, size in numbers
    )


def whole(group: int, message: Message) -> bytes:
    """The frame in one piece."""
    frame = encode(group, message)
    return frame if isinstance(frame, bytes) else b"".join(frame)


@pytest.mark.parametrize(("group", "message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_frames_bytes_are_golden(group: int, message: Message, golden: str) -> None:
    """The bytes of each message are those written here: changing them is changing the protocol."""
    assert whole(group, message).hex() == unfold(golden).hex()
    assert decode(unfold(golden)) == (group, message)


u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
groups = st.integers(0, 2**16 - 1)
pairs = st.lists(st.tuples(groups, u64), max_size=4).map(tuple)
replies = st.one_of(
    st.lists(st.binary(max_size=20), max_size=6), st.builds(lambda n: [b"+OK\r\n"] * n, st.integers(0, 9))
)
marks = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.sampled_from((2, 3))), max_size=4)
outcomes = st.sampled_from(Outcome)


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    prev = draw(st.integers(0, 2**40))
    bodies = draw(st.lists(st.tuples(u64, st.integers(0, 255), st.binary(max_size=50)), max_size=5))
    entries = tuple(Entry(term, prev + at, kind, data) for at, (term, kind, data) in enumerate(bodies, 1))
    return AppendEntries(draw(u64), prev, draw(u64), draw(u64), entries)


messages = st.one_of(
    appends(),
    st.builds(RequestVote, u64, st.booleans(), u64, u64, st.booleans()),
    st.builds(VoteReply, u64, st.booleans(), st.booleans()),
    st.builds(AppendReply, u64, st.booleans(), u64, u64, u64),
    st.builds(TimeoutNow, u64),
    st.builds(InstallSnapshot, u64, u64, u64, u64, u64, st.binary(max_size=100)),
    st.builds(InstallSnapshotReply, u64, u64, u64, u64, st.booleans()),
    st.builds(Ping, u64, u64, u64, u32),
    st.builds(Pong, u64, u64, u64, u32),
    st.builds(Leads, u64, st.booleans(), pairs),
    st.builds(Support, pairs),
    st.builds(Withdraw, pairs),
    st.builds(ForwardPart, st.binary(max_size=100)),
    st.builds(PartReply, u64, u64, outcomes, replies),
    st.builds(ForwardRead, u64, marks, st.binary()),
    st.builds(ReadReply, u64, outcomes, replies),
    st.builds(ReadIndexRequest, u64),
    st.builds(ReadIndexReply, u64, st.booleans(), u64, u64),
    st.builds(ExpireRequest, u64),
    st.builds(Published, st.booleans(), st.binary(), st.binary()),
    st.builds(LoadReport, st.binary(max_size=60)),
)


@given(groups, messages)
def test_frames_come_back_as_they_went(group: int, message: Message) -> None:
    """What is encoded is decoded to the same, from bytes, from a view, and from the middle of a buffer."""
    frame = whole(group, message)
    assert decode(frame) == (group, message)
    assert decode(memoryview(bytearray(frame))) == (group, message)
    around = b"\xff" * 11 + frame + b"\xff" * 70
    assert decode(around, 11, 11 + len(frame)) == (group, message)


@given(messages)
def test_frames_decode_to_bytes_of_their_own(message: Message) -> None:
    """Decoding from a view that is used again leaves the message as it was."""
    buffer = bytearray(whole(1, message))
    decoded = decode(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert decoded == (1, message)


@given(groups, messages, st.data())
def test_frames_damaged_are_refused_or_read(group: int, message: Message, data: st.DataObject) -> None:
    """A frame cut short, grown or altered raises FrameError or is another message; never anything else."""
    frame = bytearray(whole(group, message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    for candidate in (bytes(frame), bytes(frame[:cut]), bytes(frame) + b"\0"):
        _refused_or_read(candidate)


@given(st.binary(max_size=200), st.integers(0x20, 0x47))
def test_frames_of_noise_are_refused_or_read(noise: bytes, kind: int) -> None:
    """A well-formed header before noise does no harm, whatever its type."""
    _refused_or_read(noise)
    _refused_or_read(len(noise).to_bytes(4, "little") + bytes([kind, 0, 1, 0]) + noise)


def _refused_or_read(candidate: bytes) -> None:
    try:
        group, message = decode(candidate)
    except FrameError:
        return
    assert 0 <= group < 2**16
    assert isinstance(message, tuple)


def test_frames_of_one_repeated_reply_are_bounded() -> None:
    """A few bytes can't claim four billion replies."""
    frame = bytearray(whole(1, ReadReply(1, Outcome.DONE, [b"+OK\r\n"] * 2)))
    frame[17:21] = (REPLIES_MAX + 1).to_bytes(4, "little")
    with pytest.raises(FrameError, match="contradict"):
        decode(bytes(frame))


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_frames_of_large_messages_share_their_bytes(size: int) -> None:
    """A large entry is not copied to be sent: it is one of the frame's pieces."""
    data = bytes(size)
    message: Any = AppendEntries(1, 0, 0, 0, (Entry(1, 1, 1, data),))
    frame = encode(1, message)
    assert isinstance(frame, list) == (size > 65536)
    assert isinstance(frame, bytes) or frame[-1] is data
