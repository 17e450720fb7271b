"""Whether a connection is sent replies (CLIENT REPLY)."""

from __future__ import annotations

from typing import Final

REPLIES_ON: Final = 0
REPLIES_OFF: Final = 1
REPLIES_SKIP: Final = 2
"""The next reply is left out."""
