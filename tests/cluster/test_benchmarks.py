"""The benchmarks run, and do their sums right: figures are claims too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.load import WRITTEN_BYTES_MAX, Case, Rate, redis_requests
from benchmarks.results import Results
from tests.cluster.harness import ROOT

CASE = Case("set", 50, 16, 64)


def test_benchmarks_take_the_median_of_ratios_within_rounds() -> None:
    """A round in which the machine was slow for both systems does not move the ratio."""
    results = Results("redis-server")
    for theirs, ours in ((100.0, 40.0), (10.0, 5.0), (200.0, 90.0)):
        results.add(CASE, "redis-server", Rate(theirs, 1, 2, 1000))
        results.add(CASE, "redraft leader", Rate(ours, 1, 2, 1000))
    assert results.ratio(CASE, "redraft leader") == 0.45
    assert results.median(CASE, "redraft leader") == 40.0
    assert results.ratio(CASE, "never measured") is None


def test_benchmarks_bound_what_a_run_writes() -> None:
    """However fast the system, a run's values stay within the limit, and each connection gets a share."""
    large = Case("set", 50, 16, 4096)
    assert redis_requests(large, 1e9, 10) * large.size <= WRITTEN_BYTES_MAX
    assert redis_requests(CASE, 1.0, 1.0) >= CASE.connections * CASE.pipeline


def test_benchmarks_quick_measures_a_cluster(directory: Path) -> None:
    """`python -m benchmarks.quick`, as short as it goes, ends well and names a ratio for each case."""
    out = directory / "quick.json"
    flags = ["--rounds", "1", "--seconds", "0.1", "--json", str(out), "--dir", str(directory)]
    command = [sys.executable, "-m", "benchmarks.quick", *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ours = [row for row in json.loads(out.read_text())["results"] if row["system"] == "redraft leader"]
    assert [(row["command"], row["pipeline"]) for row in ours] == [
        ("set", 1),
        ("get", 1),
        ("set", 16),
        ("get", 16),
    ]
    assert all(row["ratio"] > 0 for row in ours)


def test_benchmarks_follower_reads_tells_who_served(directory: Path) -> None:
    """As short as it goes: of one group, one node serves at leaders, two at replicas, all three at both."""
    out = directory / "reads.json"
    flags = ["--rounds", "1", "--seconds", "0.1", "--pipelines", "1", "--groups", "1"]
    where = ["--json", str(out), "--dir", str(directory)]
    command = [sys.executable, "-m", "benchmarks.follower_reads", *flags, *where]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    served = {row["load"]: row["served"][0] for row in json.loads(out.read_text())["results"]}
    assert max(served["leaders"]) > 0.99
    assert min(served["replicas too"]) > 0.1
    assert min(served["replicas alone"]) < 0.01


def test_benchmarks_executor_measures_every_engine(directory: Path) -> None:
    """`python -m benchmarks.executor`, as short as it goes: a figure for each command and engine."""
    out = directory / "executor.json"
    flags = [
        "--rounds",
        "1",
        "--requests",
        "200",
        "--sizes",
        "3",
        "--json",
        str(out),
        "--dir",
        str(directory),
    ]
    command = [sys.executable, "-m", "benchmarks.executor", *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads(out.read_text())["results"]
    assert {row["engine"] for row in results} == {"hash", "btree", "rocksdb"}
    assert {"SET", "ZPOPMIN", "LRANGE_600", "MSET of 10"} <= {row["command"] for row in results}
    assert all(row["execute_us"] > 0 for row in results)
