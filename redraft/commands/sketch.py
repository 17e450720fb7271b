"""The string that is a HyperLogLog, in Redis's form.

    sketch   = "HYLL" encoding 3 unused bytes cached registers
    encoding = 1 byte: 0 dense, 1 sparse
    cached   = 8 bytes, little endian: the estimate; its highest bit is set when it is out of date
    registers = 12288 bytes, packed (`sketch_registers`) | runs (`sketch_sparse`)

A sketch begins sparse.  It becomes dense for good when it would be longer than `SPARSE_BYTES_MAX` or
when a register gets too large a value.  After the same commands the bytes are those of a redis-server.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final

from redraft.commands import sketch_registers as registers
from redraft.commands import sketch_sparse as sparse
from redraft.commands.arguments import INT64_MAX
from redraft.commands.sketch_sparse import CorruptError

SPARSE_BYTES_MAX: Final = 3000
"""The header included; Redis's default for `hll-sparse-max-bytes`."""

HEADER_BYTES: Final = 16
_MAGIC: Final = b"HYLL"
_ENCODING_AT: Final = 4
_CACHED_AT: Final = 8
_STALE_AT: Final = 15
_STALE: Final = 0x80
_DENSE, _SPARSE = 0, 1
_EMPTY: Final = _MAGIC + bytes((_SPARSE,)) + bytes(11) + sparse.EMPTY


def is_sketch(data: bytes) -> bool:
    """Whether a string has the looks of a sketch; its runs may still be corrupt."""
    if len(data) < HEADER_BYTES or data[:_ENCODING_AT] != _MAGIC:
        return False
    encoding = data[_ENCODING_AT]
    return encoding == _SPARSE or (encoding == _DENSE and len(data) == HEADER_BYTES + registers.PACKED_BYTES)


class Sketch:
    """One HyperLogLog that is worked on; methods that look at its registers raise CorruptError."""

    __slots__ = ("_header", "_registers")

    def __init__(self, data: bytes = _EMPTY) -> None:
        assert is_sketch(data)
        self._header = bytearray(data[:HEADER_BYTES])
        self._registers = bytearray(data[HEADER_BYTES:])

    def __bytes__(self) -> bytes:
        return bytes(self._header + self._registers)

    @property
    def is_dense(self) -> bool:
        """Whether the registers are packed."""
        return self._header[_ENCODING_AT] == _DENSE

    @property
    def cached(self) -> int | None:
        """The estimate that was stored, None when it is out of date."""
        if self._header[_STALE_AT] & _STALE:
            return None
        return int.from_bytes(self._header[_CACHED_AT:], "little")

    def cache(self, elements: int) -> None:
        """Store an estimate."""
        self._header[_CACHED_AT:] = elements.to_bytes(8, "little")

    def values(self) -> bytes:
        """Return the registers, a byte each."""
        if self.is_dense:
            return registers.unpack(bytes(self._registers))
        return sparse.expand(bytes(self._registers))

    def add(self, elements: Sequence[bytes]) -> bool:
        """Count elements; return whether a register changed."""
        changed = False
        for element in elements:
            changed |= self._raise(*registers.place(element))
        return changed

    def merge(self, others: Sequence[Sketch]) -> None:
        """Count what the others have counted; dense if any of them is."""
        values = reduce(registers.maxima, [other.values() for other in others], self.values())
        if any(other.is_dense for other in others) or not self._raise_all(values):
            self._become_dense(values)
        self.outdate()

    def outdate(self) -> None:
        """Say that the stored estimate is one no more."""
        self._header[_STALE_AT] |= _STALE

    def _raise(self, index: int, value: int) -> bool:
        if not self.is_dense:
            raised = sparse.raise_register(self._registers, index, value, SPARSE_BYTES_MAX - HEADER_BYTES)
            if raised is not None:
                return raised[0]
            self._become_dense(self.values())
        at, shift = index * 6 >> 3, index * 6 & 7
        pair = int.from_bytes(self._registers[at : at + 2], "little")
        if pair >> shift & 0x3F >= value:
            return False
        pair = pair & ~(0x3F << shift) | value << shift
        size = len(self._registers[at : at + 2])
        self._registers[at : at + size] = pair.to_bytes(size, "little")
        return True

    def _raise_all(self, values: bytes) -> bool:
        """Raise all registers in the sparse form; False, and some of it done, when that is too long."""
        if self.is_dense:
            return False
        place = sparse.START
        for index, value in enumerate(values):
            if value:
                raised = sparse.raise_register(
                    self._registers, index, value, SPARSE_BYTES_MAX - HEADER_BYTES, place
                )
                if raised is None:
                    return False
                place = raised[1]
        return True

    def _become_dense(self, values: bytes) -> None:
        self._header[_ENCODING_AT] = _DENSE
        self._registers = bytearray(registers.pack(values))


def count(sketches: Sequence[Sketch]) -> int:
    """Return about how many different elements the sketches have counted together."""
    values = reduce(registers.maxima, [sketch.values() for sketch in sketches])
    elements = registers.estimate(registers.histogram(values))
    if elements > INT64_MAX:  # no elements have such registers
        raise CorruptError
    return int(elements)
