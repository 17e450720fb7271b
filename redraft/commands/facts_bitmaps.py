"""The table's rows for strings as rows of bits."""

from __future__ import annotations

from functools import partial

from redraft.commands import bitfield, bitmaps
from redraft.commands.command import Command, row
from redraft.commands.keyspec import plain, single

_bitmap = partial(row, group="bitmap")
_ONE = (1, 1, 1)

BITMAPS: tuple[Command, ...] = (
    _bitmap(
        "setbit", 4, "write denyoom", _ONE, "RW access update",
        since="2.2.0", summary="Set or clear a bit of a value", usage="key offset value",
        handler=bitmaps.setbit,
    ),
    _bitmap(
        "getbit", 3, "readonly fast", _ONE, "RO access",
        since="2.2.0", summary="A bit of a value", usage="key offset", handler=bitmaps.getbit,
    ),
    _bitmap(
        "bitcount", -2, "readonly", _ONE, "RO access",
        since="2.6.0", summary="The number of set bits in a value", usage="key [start end [BYTE|BIT]]",
        complexity="O(N), N being the length of the value", handler=bitmaps.bitcount,
    ),
    _bitmap(
        "bitpos", -3, "readonly", _ONE, "RO access",
        since="2.8.7", summary="Where the first set or clear bit of a value is",
        usage="key bit [start [end [BYTE|BIT]]]", complexity="O(N), N being the length of the value",
        handler=bitmaps.bitpos,
    ),
    _bitmap(
        "bitop", -4, "write denyoom", (2, -1, 1),
        key_specs=(single(2, "OW update"), *plain((3, -1, 1), "RO access")),
        since="2.6.0", summary="Combine the bits of values", usage="<AND|OR|XOR|NOT> destkey key [key ...]",
        complexity="O(N), N being the length of the longest value", handler=bitmaps.bitop,
    ),
    _bitmap(
        "bitfield", -2, "write denyoom", _ONE, "RW access update variable_flags",
        since="3.2.0", summary="Read and change numbers of any width within a value",
        usage="key [<GET <encoding offset>|[OVERFLOW <WRAP|SAT|FAIL>] <SET <encoding offset value>"
        "|INCRBY <encoding offset increment>>> [<GET <encoding offset>|[OVERFLOW <WRAP|SAT|FAIL>] "
        "<SET <encoding offset value>|INCRBY <encoding offset increment>>> ...]]",
        complexity="O(1) for each number", handler=bitfield.bitfield,
    ),
    _bitmap(
        "bitfield_ro", -2, "readonly fast", _ONE, "RO access",
        since="6.0.0", summary="Read numbers of any width within a value",
        usage="key [GET <encoding offset> [GET <encoding offset> ...]]",
        complexity="O(1) for each number", handler=bitfield.bitfield_ro,
    ),
)  # fmt: skip
