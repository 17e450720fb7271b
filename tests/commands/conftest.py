"""Fixtures of the commands' tests: one redis-server for all of them, and one engine of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands.executors import executors
from tests.commands.oracle import Oracle, started

_ORACLE = pytest.StashKey[Oracle]()


@pytest.fixture(scope="session")
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """A redis-server of Redis 7.0, shared by the session: each test resets it."""
    for oracle in started(executors(tmp_path_factory.mktemp("engines"))):
        request.config.stash[_ORACLE] = oracle
        yield oracle


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def proto(request: pytest.FixtureRequest) -> int:
    """Each protocol of replies."""
    return int(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how much was compared."""
    oracle = terminalreporter.config.stash.get(_ORACLE, None)
    if oracle is not None and oracle.sequences:
        names = ", ".join(executor.name for executor in oracle.executors)
        terminalreporter.write_line(
            f"compared with redis-server: {oracle.sequences} sequences of {oracle.requests} commands"
            f" on each of: {names}"
        )
