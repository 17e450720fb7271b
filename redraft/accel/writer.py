"""The log's writer thread, by C or by the twin (`redraft.accel.pywriter` says what it does).

The native one never needs the interpreter's lock: a write starts while Python runs, and ends in an
eventfd.  It writes real files only; a test's file system brings a `PythonWriter` of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.accel.chooser import NATIVE
from redraft.accel.pywriter import PythonWriter, Writer

if TYPE_CHECKING or NATIVE is None:
    from redraft.accel.pywriter import PythonWriter as FileWriter
else:
    from redraft.accel.cwriter import NativeWriter as FileWriter

__all__ = ["FileWriter", "PythonWriter", "Writer"]
