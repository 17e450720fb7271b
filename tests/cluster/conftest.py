"""Fixtures of the cluster tests, and the nodes' logs in the report of a test that failed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the end of every node's log to the report of a failed test."""
    report = yield
    if report.failed:
        for cluster in Cluster.living:
            report.sections.extend((f"log of {name}", text) for name, text in cluster.tails())
    if report.when == "teardown":
        Cluster.living[:] = [c for c in Cluster.living if any(node.process.running for node in c.nodes)]
    return report


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, three groups, shared by the tests that break nothing; each uses keys of its own."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def one_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes with `--groups 1`, where any keys may stand in one command; shared likewise."""
    with Cluster(tmp_path_factory.mktemp("one-group"), groups=1) as started:
        yield started


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a test that breaks things starts a cluster of its own."""
    return tmp_path
