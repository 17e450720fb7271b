"""Decides once, for all of accel, whether the C extension or the Python twins serve.

`REDRAFT_PURE=1` forces the twins; a missing or unloadable extension falls back to them.  Each accel
module asks `NATIVE` at import and binds its functions; nothing above this package knows which it got.

    from redraft.accel.chooser import NATIVE
    if NATIVE is not None:
        ffi, lib = NATIVE.ffi, NATIVE.lib
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType


def load_native() -> ModuleType | None:
    """Return the cffi module (`.ffi`, `.lib`), or None when the twins must serve."""
    if os.environ.get("REDRAFT_PURE", "") not in ("", "0"):
        return None
    try:
        return importlib.import_module("redraft.accel._native")
    except ImportError:
        return None


NATIVE = load_native()
