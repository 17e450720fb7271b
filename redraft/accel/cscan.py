"""The request scanner over `native/scan.c`; `pyscan` says what each function does.

Owns: the arrays that C writes to, reused from call to call (one thread only).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from redraft.accel._native import ffi, lib
from redraft.accel.pyscan import ROUND_MAX, SLOTS, Facts, Head, Part, place

_scan, _unpack = lib.redraft_scan, ffi.unpack
_scan_args = lib.redraft_scan_args
_HEAD = 9
_COPY_BYTES = 1 << 18
_ARGS = 1 << 14


class _State:
    """What `configure` made, and the arrays of `scan_args`."""

    table: Any = ffi.gc(lib.redraft_commands_new(), lib.redraft_commands_free)
    commands: Any = ffi.new("int64_t[]", 3 * _ARGS)
    args: Any = ffi.new("int64_t[]", 2 * _ARGS)
    found: Any = ffi.new("int64_t[1]")


def configure(commands: Sequence[Facts]) -> None:
    """See `pyscan.configure`."""
    table = ffi.gc(lib.redraft_commands_new(), lib.redraft_commands_free)
    for position, (name, kind, arity, first, last, step) in enumerate(commands):
        added = lib.redraft_commands_add(table, name, len(name), kind, arity, first, last, step)
        assert added == position, f"command {name!r} does not fit the scanner's table"
    _State.table = table


class Scanner:
    """See `pyscan.Scanner`."""

    __slots__ = (
        "_copy",
        "_count",
        "_found",
        "_groups",
        "_head",
        "_order",
        "_parts",
        "args_max",
        "bulk_max",
        "commands_max",
        "one_slot",
    )

    def __init__(
        self,
        bulk_max: int,
        args_max: int = 2**31 - 1,
        commands_max: int = 4096,
        *,
        one_slot: bool = False,
    ) -> None:
        assert commands_max <= ROUND_MAX
        self.one_slot = one_slot
        self.bulk_max = bulk_max
        self.args_max = args_max
        self.commands_max = commands_max
        self._head = ffi.new("int64_t[]", _HEAD)
        self._found = ffi.new("int64_t[]", 6 * commands_max)
        self._groups = ffi.new("uint16_t[]", SLOTS)
        self._order = ffi.new("uint16_t[]", commands_max)
        self._parts = ffi.new("int64_t[]", 5 * commands_max)
        self._copy = ffi.new("char[]", _COPY_BYTES)
        self._count = 0

    def set_groups(self, groups: Sequence[int]) -> None:
        """See `pyscan.Scanner.set_groups`."""
        assert len(groups) == SLOTS
        self._groups = ffi.from_buffer("uint16_t[]", array("H", groups))

    def scan(self, data: bytes, start: int = 0) -> Head:
        """See `pyscan.Scanner.scan`."""
        head = self._head
        _scan(
            _State.table,
            self._groups,
            self.one_slot,
            self.bulk_max,
            self.args_max,
            data,
            start,
            len(data),
            head,
            self._found,
            self.commands_max,
        )
        found: Head = _unpack(head, _HEAD)
        self._count = found[3]
        return found

    def commands(self) -> list[int]:
        """See `pyscan.Scanner.commands`."""
        flat: list[int] = _unpack(self._found, 6 * self._count)
        return flat

    def partition(self, data: bytes, start: int) -> tuple[list[Part], list[int]]:
        """See `pyscan.Scanner.partition`."""
        count = self._count
        to = self._copy if len(data) - start <= _COPY_BYTES else ffi.new("char[]", len(data) - start)
        found = lib.redraft_partition(data, start, self._found, count, to, self._order, self._parts)
        numbers = _unpack(self._parts, 5 * found)
        parts = [
            (numbers[i], _unpack(to + numbers[i + 1], numbers[i + 2]), numbers[i + 3], bool(numbers[i + 4]))
            for i in range(0, 5 * found, 5)
        ]
        order: list[int] = _unpack(self._order, count)
        return parts, order

    def place(self, keys: Sequence[bytes]) -> tuple[int, int]:
        """See `pyscan.Scanner.place`."""
        return place(keys, self._groups, one_slot=self.one_slot)

    def probe(self, data: bytes | bytearray, cursor: int, left: int) -> tuple[int, int, int, int]:
        """See `pyscan.Scanner.probe`."""
        with ffi.from_buffer(data) as held:
            lib.redraft_probe(self.bulk_max, held, cursor, left, len(data), self._head)
        head = _unpack(self._head, _HEAD)
        return head[1], head[2], head[7], head[8]


def scan_args(data: bytes) -> tuple[list[int], list[int]]:
    """See `pyscan.scan_args`."""
    state = _State
    size = len(data)
    count = _scan_args(state.table, data, size, state.commands, _ARGS, state.args, _ARGS, state.found)
    if count >= 0:
        return _unpack(state.commands, 3 * count), _unpack(state.args, 2 * state.found[0])
    if count == -2:  # rare: arrays for the most that so many bytes can hold
        commands, args = ffi.new("int64_t[]", size), ffi.new("int64_t[]", size)
        count = _scan_args(state.table, data, size, commands, size // 3, args, size // 2, state.found)
        if count >= 0:
            return _unpack(commands, 3 * count), _unpack(args, 2 * state.found[0])
    raise ValueError("not whole, valid requests")
