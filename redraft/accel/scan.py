"""Finding the commands in a buffer of requests: native if it can be, else plain Python.

`pyscan` is the specification.  `configure` comes before the first scan, with all the commands there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.accel import pyscan
from redraft.accel.chooser import NATIVE
from redraft.accel.pyscan import (
    BAD_BULK,
    BAD_COUNT,
    BAD_TYPE,
    BIG_BULK,
    BIG_COUNT,
    INLINE,
    KIND_READ,
    KIND_SLOW,
    KIND_WRITE,
    LINE_BYTES_MAX,
    LOOSE,
    NO_KEY,
    OK,
    SEVERAL,
    SLOTS,
    Facts,
    Head,
    Part,
    key_slot,
)

if TYPE_CHECKING or NATIVE is None:
    from redraft.accel.pyscan import Scanner, scan_args
else:
    from redraft.accel.cscan import Scanner, scan_args

_configured: list[Facts] = []


def configure(commands: Sequence[Facts]) -> None:
    """Sets the commands, for both variants; doing it again with the same ones does nothing."""
    if _configured == list(commands):
        return
    _configured[:] = commands
    pyscan.configure(commands)
    if NATIVE is not None:
        from redraft.accel import cscan  # noqa: PLC0415 - only where there is an extension

        cscan.configure(commands)


__all__ = [
    "BAD_BULK",
    "BAD_COUNT",
    "BAD_TYPE",
    "BIG_BULK",
    "BIG_COUNT",
    "INLINE",
    "KIND_READ",
    "KIND_SLOW",
    "KIND_WRITE",
    "LINE_BYTES_MAX",
    "LOOSE",
    "NO_KEY",
    "OK",
    "SEVERAL",
    "SLOTS",
    "Facts",
    "Head",
    "Part",
    "Scanner",
    "configure",
    "key_slot",
    "scan_args",
]
