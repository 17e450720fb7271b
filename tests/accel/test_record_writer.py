"""The writer thread, C and twin: order, durability, group commit, failure."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.accel import pyrecord
from redraft.accel.cwriter import NativeWriter
from redraft.accel.pyrecord import ScanCursor, ScanStatus
from redraft.accel.pywriter import PythonWriter, Writer
from redraft.wal.batch import encode_batch
from tests.accel.test_record import unsealed

SEED = 99
VARIANTS = [NativeWriter, PythonWriter]


@pytest.fixture
def event_fd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def wait_for(writer: Writer, event_fd: int, sequence: int) -> None:
    """Wait until the writer says that `sequence` is durable, or that it failed."""
    ready = select.poll()
    ready.register(event_fd, select.POLLIN)
    while writer.durable() < sequence and not writer.error():
        assert ready.poll(30_000), "the writer says nothing"
        os.eventfd_read(event_fd)


@pytest.mark.parametrize("variant", VARIANTS)
def test_writer_writes_batches_in_order_with_chain_and_claims(
    variant: type[NativeWriter], event_fd: int, tmp_path: Path
) -> None:
    """What is on disk scans as one chain, each batch stating something durable before it."""
    path = tmp_path / "segment"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    writer = variant(event_fd, 4, 0)
    offset = 0
    for sequence in range(5, 300):
        batch = unsealed(sequence, [(1, 1, 0, 1, sequence, b"x" * (sequence * 7 % 500))])
        writer.submit(fd, offset, batch, SEED, sequence == 5)
        offset += len(batch)
        if sequence % 50 == 0:
            wait_for(writer, event_fd, sequence)
    wait_for(writer, event_fd, 299)
    assert (writer.durable(), writer.error(), writer.stop()) == (299, 0, 0)
    assert writer.durable() == 299
    os.close(fd)
    found = pyrecord.batch_scan(path.read_bytes() + bytes(40), ScanCursor(SEED, SEED, 5))
    assert found.status is ScanStatus.END
    assert found.indexes == list(range(5, 300))
    claims = found.batch_durables
    assert claims == sorted(claims)
    assert all(claimed < sequence for sequence, claimed in enumerate(claims, 5))
    assert claims[251 - 5] >= 250


@pytest.mark.parametrize("variant", VARIANTS)
def test_writer_goes_on_from_a_chain_and_over_files(
    variant: type[NativeWriter], event_fd: int, tmp_path: Path
) -> None:
    """The first batch continues the chain given; a batch in the next file claims all that is in this one."""
    fds = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "ab"]
    writer = variant(event_fd, 7, 0xABC)
    writer.submit(fds[0], 0, encode_batch(8, b"", 0), SEED, False)
    writer.submit(fds[1], 0, encode_batch(9, b"", 0), SEED + 1, True)
    assert writer.stop() == 0
    assert writer.durable() == 9
    for fd in fds:
        os.close(fd)
    first = pyrecord.batch_scan((tmp_path / "a").read_bytes(), ScanCursor(SEED, 0xABC, 8))
    second = pyrecord.batch_scan((tmp_path / "b").read_bytes(), ScanCursor(SEED + 1, SEED + 1, 9))
    assert (first.batch_durables, second.batch_durables) == ([7], [8])


@pytest.mark.parametrize("variant", VARIANTS)
def test_writer_stops_writing_at_the_first_failure(
    variant: type[NativeWriter], event_fd: int, tmp_path: Path
) -> None:
    """The errno is kept, the durable sequence stands still, and later batches are dropped."""
    fd = os.open(tmp_path / "segment", os.O_RDWR | os.O_CREAT)
    only_read = os.open(tmp_path / "segment", os.O_RDONLY)
    writer = variant(event_fd, 0, 0)
    writer.submit(only_read, 0, encode_batch(1, b"", 0), SEED, True)
    wait_for(writer, event_fd, 1)
    assert (writer.durable(), writer.error()) == (0, errno.EBADF)
    writer.submit(fd, 0, encode_batch(2, b"", 0), SEED, True)
    assert writer.stop() == errno.EBADF
    assert (writer.durable(), os.fstat(fd).st_size) == (0, 0)
    os.close(fd)
    os.close(only_read)


@pytest.mark.parametrize("variant", VARIANTS)
def test_writer_reports_a_sync_that_fails(variant: type[NativeWriter], event_fd: int) -> None:
    """A descriptor that takes writes and no fdatasync: the failure is the sync's."""
    full = os.open("/dev/full", os.O_WRONLY)
    writer = variant(event_fd, 0, 0)
    writer.submit(full, 0, encode_batch(1, b"", 0), SEED, True)
    assert writer.stop() == errno.ENOSPC
    os.close(full)
    null = os.open("/dev/null", os.O_WRONLY)
    writer = variant(event_fd, 0, 0)
    writer.submit(null, 0, encode_batch(1, b"", 0), SEED, True)
    assert writer.stop() == errno.EINVAL
    os.close(null)
