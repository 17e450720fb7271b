"""Fixtures of the commands' tests: one redis-server for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands.oracle import Oracle, started


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """A redis-server of Redis 7.0, shared by the session: each test resets it."""
    yield from started()


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def proto(request: pytest.FixtureRequest) -> int:
    """Each protocol of replies."""
    return int(request.param)
