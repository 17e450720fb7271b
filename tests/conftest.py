"""Which tests are live: they start nodes as processes, and go one at a time; others may go side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

LIVE = tuple(Path(__file__).parent / name for name in ("cli", "cluster"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them by the folder they are in."""
    for item in items:
        if any(folder in item.path.parents for folder in LIVE):
            item.add_marker("live")
