"""Which Redis this server says it is: what clients look at to know what they may ask for."""

from __future__ import annotations

from typing import Final

REDIS_VERSION: Final = "7.2.4"
"""The Redis whose commands and replies are followed."""
