"""The log's bytes: golden bytes, and C against its twin on whole, torn and rotten batches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.accel import crecord, pyrecord
from redraft.accel.pyrecord import (
    BATCH_HEADER,
    BATCH_HEADER_BYTES,
    BATCH_RECORDS_MAX,
    MAGIC,
    RECORD_HEADER,
    SCAN_BATCHES_MAX,
    ScanCursor,
    ScanStatus,
)

SEED = 0x12345678
Record = tuple[int, int, int, int, int, bytes]  # group, type, kind, term, index, data

records = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=70),
)


def unsealed(sequence: int, batch: list[Record]) -> bytearray:
    """Return a batch whose checksums are not filled in."""
    body = b"".join(
        RECORD_HEADER.pack(0, 0, len(data), group, of_type, kind, 0, 0, term, index) + data
        for group, of_type, kind, term, index, data in batch
    )
    body += bytes(-len(body) % 8)
    return bytearray(BATCH_HEADER.pack(0, 0, sequence, 0, len(body), len(batch), MAGIC) + body)


def segment(batches: list[list[Record]], first: int = 1, seed: int = SEED) -> bytearray:
    """Return sealed batches, one behind the other."""
    content, chain = bytearray(), seed
    for sequence, records_of in enumerate(batches, first):
        batch = unsealed(sequence, records_of)
        chain = pyrecord.batch_seal(batch, seed, chain, max(sequence - 2, 0))
        content += batch
    return content


def same_scan(window: bytes | bytearray, cursor: ScanCursor) -> pyrecord.Scanned:
    """Scan by both; assert that they agree in all they say and do."""
    other = ScanCursor(cursor.seed, cursor.chain, cursor.sequence, cursor.bound, cursor.position)
    found = pyrecord.batch_scan(window, cursor)
    assert crecord.batch_scan(window, other) == found
    assert other == cursor
    return found


def test_crc32c_is_castagnoli() -> None:
    """The check value of the catalogue, and vectors of RFC 3720 B.4."""
    vectors = {
        b"123456789": 0xE3069283,
        bytes(32): 0x8A9136AA,
        b"\xff" * 32: 0x62A8AB43,
        bytes(range(32)): 0x46DD794E,
        b"": 0,
    }
    for data, expected in vectors.items():
        assert pyrecord.crc32c(data) == crecord.crc32c(data) == expected


@given(st.binary(max_size=300), st.integers(0, 7), st.integers(0, 300))
def test_crc32c_is_the_same_by_instruction_table_and_twin(data: bytes, shift: int, split: int) -> None:
    """Whatever the alignment, and in two steps as in one."""
    data = data[shift:]
    expected = pyrecord.crc32c(data)
    assert crecord.crc32c(data) == expected
    assert crecord.crc32c_table(data) == expected
    assert crecord.crc32c(data[split:], crecord.crc32c(data[:split])) == expected


def test_batch_has_golden_bytes() -> None:
    """The format on disk may not change without its version: docs/log.md tells what stands here."""
    batch = unsealed(7, [(3, 1, 2, 5, 9, b"hello"), (4, 2, 0, 6, 1, b"")])
    assert crecord.batch_seal(batch, SEED, 0xCAFE, 6) == int.from_bytes(batch[85:89], "little")
    assert batch.hex(" ", 4) == (
        "78104961 feca0000 07000000 00000000 06000000 00000000 58000000 00000000 02000000 52524442 "
        "ad069ffc 936e542e 05000000 03000000 01020000 00000000 05000000 00000000 09000000 00000000 "
        "68656c6c 6f7553ba 9983f8f3 0c000000 00040000 00020000 00000000 00060000 00000000 "
        "00010000 00000000 00000000"
    )


@given(st.lists(st.lists(records, max_size=4), min_size=1, max_size=4))
def test_seal_is_the_same_by_both(batches: list[list[Record]]) -> None:
    """Same bytes, same chain."""
    chain = SEED
    for sequence, records_of in enumerate(batches, 1):
        ours, twins = (unsealed(sequence, records_of) for _ in range(2))
        assert crecord.batch_seal(ours, SEED, chain, 0) == pyrecord.batch_seal(twins, SEED, chain, 0)
        chain = pyrecord.batch_seal(twins, SEED, chain, 0)
        assert ours == twins


@given(st.lists(st.lists(records, max_size=4), max_size=4), st.integers(1, 2**63))
def test_scan_returns_what_was_sealed(batches: list[list[Record]], first: int) -> None:
    """Every record, where it stands, in order; then the end."""
    content = segment(batches, first)
    found = same_scan(content + bytes(64), ScanCursor(SEED, SEED, first))
    assert found.status is ScanStatus.END
    expected = [record for records_of in batches for record in records_of]
    columns = (found.groups, found.types, found.terms, found.indexes, found.offsets, found.lengths)
    for (group, of_type, kind, term, index, data), row in zip(
        expected, zip(*columns, strict=True), strict=True
    ):
        assert row[:4] == (group, of_type << 8 | kind, term, index)
        assert content[row[4] + 40 : row[4] + 40 + row[5]] == data
    assert crecord.records_verify(content, SEED, found.offsets) == -1
    assert pyrecord.records_verify(content, SEED, found.offsets) == -1


@settings(max_examples=300)
@given(
    st.lists(st.lists(records, max_size=3), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
    st.integers(0, 2000),
    st.integers(0, 6),
)
def test_scan_of_torn_and_rotten_bytes_is_the_same_by_both(
    batches: list[list[Record]], rot: list[tuple[int, int]], length: int, bound: int
) -> None:
    """Any bytes changed, any length, any bound: both stop at the same place for the same reason."""
    content = segment(batches)
    for place, value in rot:
        content[place % len(content)] = value
    window = bytes(content[: length % (len(content) + 1)] if length % 2 else content)
    same_scan(window, ScanCursor(SEED, SEED, 1, bound))
    for position in (0, 3, 8, 50):
        for durable in (0, 1, 2):
            expected = pyrecord.claim_find(window, position, SEED, durable, bound)
            assert crecord.claim_find(window, position, SEED, durable, bound) == expected
    offsets = list(range(0, len(window) + 20, 13))
    assert crecord.records_verify(window, SEED, offsets) == pyrecord.records_verify(window, SEED, offsets)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 220))
def test_scan_of_noise_is_the_same_by_both(window: bytes, position: int) -> None:
    """Bytes that were never a log, from a position that may lie behind them."""
    same_scan(window, ScanCursor(SEED, SEED, 1, 0, position))
    assert crecord.claim_find(window, position, SEED, 0) == pyrecord.claim_find(window, position, SEED, 0)


@given(st.lists(st.lists(records, max_size=3), min_size=1, max_size=3), st.integers(0, 8), st.data())
def test_every_changed_bit_is_noticed(batches: list[list[Record]], bit: int, data: st.DataObject) -> None:
    """One bit anywhere in sealed batches: the scan stops before the batch it is in is through."""
    content = segment(batches)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << bit % 8
    cursor = ScanCursor(SEED, SEED, 1)
    assert same_scan(content + bytes(40), cursor).status in (ScanStatus.INVALID, ScanStatus.MORE)
    assert cursor.position <= place


def test_scan_names_the_group_of_a_bad_record() -> None:
    """A record whose header is whole and whose data is not: its place and group are known."""
    content = segment([[(9, 1, 0, 1, 1, b"x" * 50), (8, 1, 0, 1, 1, b"y" * 50)]])
    content[content.index(b"yy")] ^= 1
    found = same_scan(content, ScanCursor(SEED, SEED, 1))
    assert (found.status, found.failed_group, found.failed_offset) == (ScanStatus.INVALID, 8, 40 + 90)


@pytest.mark.parametrize("variant", [crecord, pyrecord])
def test_scan_stops_when_its_columns_are_full(variant: object) -> None:
    """More batches or records than one call returns: FULL, and the next call goes on without a gap."""
    many = [[(1, 1, 0, 1, index, b"")] * 5 for index in range(BATCH_RECORDS_MAX // 5 + 7)]
    content = segment(many)
    cursor = ScanCursor(SEED, SEED, 1)
    scan = crecord.batch_scan if variant is crecord else pyrecord.batch_scan
    found = scan(content, cursor)
    assert found.status is ScanStatus.FULL
    rest = scan(content, cursor)
    assert found.indexes + rest.indexes == [record[4] for batch in many for record in batch]
    seals = segment([[] for _ in range(SCAN_BATCHES_MAX + 1)])
    cursor = ScanCursor(SEED, SEED, 1)
    assert (scan(seals, cursor).status, len(scan(seals, cursor).batch_offsets)) == (ScanStatus.FULL, 1)


def test_scan_refuses_a_batch_with_another_past() -> None:
    """Whole by itself, but of another sequence or chain, or claiming itself durable: not the next one."""
    first = bytes(segment([[]]))
    chain = int.from_bytes(first[:4], "little")
    for sequence, before, durable, status in (
        (2, chain, 1, ScanStatus.MORE),
        (3, chain, 1, ScanStatus.INVALID),
        (2, chain ^ 1, 1, ScanStatus.INVALID),
        (2, chain, 2, ScanStatus.INVALID),
    ):
        second = unsealed(sequence, [])
        pyrecord.batch_seal(second, SEED, before, durable)
        assert same_scan(first + bytes(second), ScanCursor(SEED, SEED, 1)).status is status


def test_scan_stops_at_the_bound() -> None:
    """Sequences from the bound on belong to a later segment."""
    content = segment([[(1, 1, 0, 1, index, b"")] for index in range(5)])
    found = same_scan(content, ScanCursor(SEED, SEED, 1, bound=3))
    assert (found.status, found.indexes) == (ScanStatus.BOUND, [0, 1])


def test_scan_says_how_much_it_needs() -> None:
    """A batch cut by the window's end: its whole size is known as soon as its header is."""
    content = bytes(segment([[(1, 1, 0, 1, 1, b"x" * 1000)]]))
    assert same_scan(content[:39], ScanCursor(SEED, SEED, 1)).needed == BATCH_HEADER_BYTES
    assert same_scan(content[:40], ScanCursor(SEED, SEED, 1)).needed == len(content)


def test_claim_is_found_behind_noise_and_only_with_the_seed() -> None:
    """Looked for at multiples of 8, by checksum: another segment's leftovers don't count."""
    noise = random.Random(1).randbytes(800)
    content = noise + bytes(segment([[], [], [], []], 10))
    for variant in (crecord, pyrecord):
        assert variant.claim_find(content, 0, SEED, 10) == 800 + 2 * 40
        assert variant.claim_find(content, 0, SEED, 10, 12) == -1
        assert variant.claim_find(content, 0, SEED, 12) == -1
        assert variant.claim_find(content, 0, SEED + 1, 0) == -1
