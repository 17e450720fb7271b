"""Builds `redraft.accel._native` from the C files beside this one (cffi, API mode).

Each C file is declared by the header of the same name: what stands in the header between the
`cffi` marks is what Python sees.  The C side gets bytes and offsets, never policy, and each
function has a pure-Python twin in `redraft/accel/` that is its specification.
"""

from __future__ import annotations

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
UNITS = sorted(path.stem for path in HERE.glob("*.h"))
BEGIN, END = "/* cffi: begin */", "/* cffi: end */"


def declarations(unit: str) -> str:
    """Return the part of `unit`.h that cffi may parse."""
    text = (HERE / f"{unit}.h").read_text()
    return text.split(BEGIN, 1)[1].split(END, 1)[0]


ffibuilder = FFI()
ffibuilder.cdef("\n".join(declarations(unit) for unit in UNITS))
ffibuilder.set_source(
    "redraft.accel._native",
    "\n".join(f'#include "{unit}.h"' for unit in UNITS),
    sources=[os.path.relpath(HERE / f"{unit}.c") for unit in UNITS],
    include_dirs=[str(HERE)],
    extra_compile_args=["-O3", "-std=c11", "-Wall", "-Wextra", *os.environ.get("REDRAFT_CFLAGS", "").split()],
    extra_link_args=os.environ.get("REDRAFT_LDFLAGS", "").split(),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
