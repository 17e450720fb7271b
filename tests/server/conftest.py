"""Fixtures of the front end's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands.oracle import Oracle, started
from tests.server.harness import Site


@pytest.fixture
def site() -> Iterator[Site]:
    """Three groups, all led here."""
    with Site() as site:
        yield site


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Oracle]:
    """A redis-server to compare words with."""
    yield from started()
