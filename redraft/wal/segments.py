"""The segments of a log in order, and where in them an address lies.

An *address* counts the bytes of all batches of the log since it was opened, headers included, whatever
file they went to: so a record's address is known when it is appended, before its segment is.  Invariant:
`start` of a segment is the address of its first batch; segments are in order of number and address.

Reading goes through few descriptors of its own, the least recently used is closed first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from redraft.base.errors import StorageFailedError
from redraft.wal.files import Files
from redraft.wal.segment import DATA_START, name_of

OPEN_READERS_MAX = 16


class Segment(NamedTuple):
    """One file of the log."""

    number: int
    seed: int
    start: int  # address of its first batch
    size: int  # of the file: preallocated, until it is full and what is left over cut off
    first_sequence: int


class Segments:
    """All segments that hold batches."""

    def __init__(self, files: Files, directory: Path) -> None:
        self.directory = directory
        self._files = files
        self._segments: list[Segment] = []
        self._starts: list[int] = []
        self._readers: OrderedDict[int, int] = OrderedDict()  # number -> fd

    def add(self, segment: Segment) -> None:
        """Add the newest segment."""
        assert not self._starts or (
            segment.start >= self._starts[-1] and segment.number > self._segments[-1].number
        )
        self._segments.append(segment)
        self._starts.append(segment.start)

    def replace_newest(self, segment: Segment) -> None:
        """Correct what is known of the newest segment; its place stays."""
        assert (segment.number, segment.start) == (self.newest.number, self.newest.start)
        self._segments[-1] = segment

    def resize(self, number: int, size: int) -> None:
        """Correct the size of one segment, if it is still there."""
        for position, segment in enumerate(self._segments):
            if segment.number == number:
                self._segments[position] = segment._replace(size=size)

    def drop_before(self, number: int) -> list[int]:
        """Drop the segments before `number`, in which nothing lives; return their numbers."""
        assert number <= self.newest.number, "the newest segment stays"
        dropped = []
        while self._segments[0].number < number:
            dropped.append(self._segments.pop(0).number)
            del self._starts[0]
            fd = self._readers.pop(dropped[-1], None)
            if fd is not None:
                self._files.close(fd)
        return dropped

    def drop_behind(self, number: int) -> None:
        """Drop the segments behind `number`, which hold nothing."""
        while self._segments[-1].number > number:
            self._segments.pop()
            self._starts.pop()

    @property
    def oldest(self) -> Segment:
        """The first segment that holds anything of the log."""
        return self._segments[0]

    @property
    def newest(self) -> Segment:
        """The segment that is written to."""
        return self._segments[-1]

    @property
    def total_bytes(self) -> int:
        """What all files take."""
        return sum(segment.size for segment in self._segments)

    @property
    def closed(self) -> Sequence[Segment]:
        """All segments but the newest, oldest first."""
        return self._segments[:-1]

    def path(self, segment: Segment) -> Path:
        """Return the file's path."""
        return self.directory / name_of(segment.number)

    def locate(self, address: int) -> tuple[Segment, int]:
        """Return the segment of an address, and the offset in its file."""
        segment = self._segments[bisect_right(self._starts, address) - 1]
        return segment, DATA_START + address - segment.start

    def end_of(self, segment: Segment) -> int:
        """Return the address behind a segment's last batch; of the newest, no bound that matters."""
        position = bisect_right(self._starts, segment.start)
        return self._starts[position] if position < len(self._starts) else 1 << 62

    def read(self, segment: Segment, offset: int, length: int) -> bytes:
        """Return bytes of a segment; raise StorageFailedError when the disk won't give them."""
        try:
            return self._files.read(self._reader(segment), length, offset)
        except OSError as error:
            raise StorageFailedError(f"reading {self.path(segment)} failed: {error.strerror}") from error

    def close(self) -> None:
        """Close the readers."""
        for fd in self._readers.values():
            self._files.close(fd)
        self._readers.clear()

    def _reader(self, segment: Segment) -> int:
        fd = self._readers.get(segment.number)
        if fd is not None:
            self._readers.move_to_end(segment.number)
            return fd
        if len(self._readers) == OPEN_READERS_MAX:
            self._files.close(self._readers.popitem(last=False)[1])
        fd = self._readers[segment.number] = self._files.open(self.path(segment))
        return fd
