"""The snapshot format: what goes in comes out, in pieces of any size; anything else shows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.engine.capture import Run
from redraft.snapshot.format import (
    BLOCK_BYTES,
    Decoder,
    Encoder,
    End,
    Header,
    Item,
    SessionState,
    SnapshotDamagedError,
)

HEADER = Header(3, 17, 4, b"conf", 1_700_000_000_000, 5)


def encoded(runs: list[Run], sessions: list[SessionState]) -> bytes:
    """A whole snapshot."""
    encoder = Encoder()
    blocks = [encoder.header(HEADER)]
    for state in sessions:
        blocks += encoder.session(state)
    for run in runs:
        blocks += encoder.run(run)
    return b"".join([*blocks, encoder.end()])


def decoded(data: bytes, piece: int) -> list[Item]:
    """Its items, fed in pieces."""
    decoder = Decoder()
    items = [item for at in range(0, len(data), piece) for item in decoder.feed(data[at : at + piece])]
    assert decoder.ended == (bool(items) and isinstance(items[-1], End))
    return items


RUNS = st.lists(
    st.tuples(st.integers(0, 16383), st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=30)))),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(RUNS, st.integers(1, 200))
def test_format_gives_back_keys_and_records(
    pairs: list[tuple[int, list[tuple[bytes, bytes]]]], piece: int
) -> None:
    """Every key and record of every slot, whatever the pieces."""
    runs = [Run(slot, [key for key, _ in items], [record for _, record in items]) for slot, items in pairs]
    found = [item for item in decoded(encoded(runs, []), piece) if isinstance(item, Run)]
    assert found == [run for run in runs if run.keys]


def test_format_splits_what_is_large() -> None:
    """Blocks stay near BLOCK_BYTES; a larger record has its own; a session's replies are split too."""
    records = [b"x" * 100_000] * 10 + [b"y" * (3 * BLOCK_BYTES)] + [b"z"]
    run = Run(5, [b"%d" % number for number in range(12)], records)
    state = SessionState(1, 2, 3, {number: [b"r" * 100_000, b"s"] for number in range(3, 10)})
    items = decoded(encoded([run], [state]), 50_000)
    runs = [item for item in items if isinstance(item, Run)]
    assert len(runs) > 5
    assert [key for each in runs for key in each.keys] == run.keys
    assert [record for each in runs for record in each.records] == records
    parts = [item for item in items if isinstance(item, SessionState)]
    assert len(parts) > 2
    assert {key: value for part in parts for key, value in part.replies.items()} == state.replies


@pytest.mark.parametrize("seed", range(30))
def test_format_shows_every_kind_of_damage(seed: int) -> None:
    """A flipped bit, a cut, a lost or doubled block, one of another snapshot: never whole, never silent."""
    print("seed", seed)
    rng = random.Random(seed)
    runs = [Run(slot, [b"k%d" % slot], [b"v" * rng.randrange(200)]) for slot in range(20)]
    data = encoded(runs, [SessionState(1, 2, 3, {4: [b"+OK\r\n"]})])
    other = encoded(runs[1:], [])
    at = rng.randrange(len(data))
    damaged = rng.choice(
        (
            data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
            data[:at],
            data[:at] + data[at + 1 :],
            data[:at] + data[max(at - 60, 0) :],
            data[: len(data) // 2] + other[len(other) // 2 :],
        )
    )
    decoder = Decoder()
    try:
        for _item in decoder.feed(damaged):
            pass
    except SnapshotDamagedError:
        return
    assert not decoder.ended


def test_format_refuses_what_follows_the_end() -> None:
    """A snapshot ends where it says so."""
    data = encoded([], [])
    with pytest.raises(SnapshotDamagedError, match="offset"):
        list(Decoder().feed(data + data[8:]))
