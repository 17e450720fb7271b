"""The hash engine with low limits: few keys are as many pieces of a snapshot as millions are elsewhere."""

from __future__ import annotations

from typing import Any

from redraft.engine.capture import Capture, Run
from redraft.engine.hash import HashEngine


class SlicedEngine(HashEngine):
    """Its captures give no more than `slice_keys` keys at once, and take every slot for a large one."""

    __slots__ = ("_slice_keys",)

    def __init__(self, slice_keys: int) -> None:
        super().__init__()
        self._slice_keys = slice_keys

    def new_capture(self) -> Capture:
        """See `HashEngine.new_capture`."""
        return _SlicedCapture(self._slice_keys, self.tables, self.collections, self.epoch, self._garbage)


class _SlicedCapture(Capture):
    __slots__ = ("_slice_keys",)

    def __init__(self, slice_keys: int, *of: Any) -> None:
        super().__init__(*of, whole_keys_max=0)  # type: ignore[misc]
        self._slice_keys = slice_keys

    def take(self, keys_max: int) -> list[Run]:
        """See `Captured.take`."""
        return super().take(min(keys_max, self._slice_keys))
