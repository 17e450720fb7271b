"""Runs a process whose changes to the files below a directory are recorded, call by call, with its own marks.

`recorder.c` is loaded into the process and writes the trace; nothing the process asks to be synced really is,
which only takes time.  `tests.engine.losingdisk` makes of a trace what a power cut may leave.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("=ciqqII")
SOURCE = Path(__file__).with_name("recorder.c")
TREE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Call:
    """What was done; `recorder.c` says what an op has."""

    op: str
    descriptor: int
    first: int
    second: int
    data: bytes
    other: bytes


def compiled(directory: Path) -> Path:
    """Compile the recorder; return the library."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    assert compiler is not None, "a C compiler is needed, as for the package itself"
    library = directory / "recorder.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-U_FORTIFY_SOURCE"]
    subprocess.run([*command, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def record(library: Path, root: Path, module: str, *arguments: str) -> list[Call]:
    """Run a module to its end; return what it did below `root`."""
    trace = root.with_name(f"{root.name}.trace")
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "RECORDER_ROOT": str(root),
        "RECORDER_TRACE": str(trace),
        "PYTHONPATH": str(TREE),
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = list(_calls(trace.read_bytes()))
    trace.unlink()
    return calls


def _calls(data: bytes) -> Iterator[Call]:
    at = 0
    while at < len(data):
        op, descriptor, first, second, length, other = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        middle, end = at + length, at + length + other
        yield Call(op.decode(), descriptor, first, second, data[at:middle], data[middle:end])
        at = end


def mark(text: str) -> None:
    """In a recorded process: note in the trace how far it is."""
    ctypes.CDLL(None).redraft_mark(text.encode())
