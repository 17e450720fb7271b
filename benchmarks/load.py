"""One measurement: redis-benchmark or wrk against one port of 127.0.0.1, always bounded.

Both are single-threaded here, count only whole answers, and a run in which anything was answered
with an error is no measurement: it raises.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# The first, short run of a case, which finds how many requests take the time wanted.
PILOT_PER_SLOT = 40
PILOT_CONNECTIONS_MAX = 50
PILOT_MIN = 2_000
PILOT_MAX = 20_000
REQUESTS_MAX = 5_000_000
WRITTEN_BYTES_MAX = (
    96 << 20
)  # of values by one run: a log that is not compacted keeps all of them, three times
ETCD_CONNECTIONS_MAX = 1_000
GRACE_S = 60.0
SUITE_S = 900.0
ETCD_SCRIPT = Path(__file__).with_name("etcd.lua")


class LoadError(Exception):
    """The load generator failed, or met an error reply; says which and what it printed."""


@dataclass(frozen=True)
class Case:
    """SET or GET, of values of `size` bytes, by so many connections with `pipeline` in flight each."""

    command: str
    connections: int
    pipeline: int
    size: int

    def __str__(self) -> str:
        return f"{self.command.upper()} -c {self.connections} -P {self.pipeline} -d {self.size}"


@dataclass(frozen=True)
class Rate:
    """What was measured: answers per second, and milliseconds from request to answer."""

    rps: float
    p50_ms: float
    p99_ms: float
    requests: int


def keyspace(size: int) -> int:
    """How many keys are loaded and asked for, by value size: as many as memory on three nodes allows."""
    return 100_000 if size <= 1_024 else 10_000


def redis_requests(case: Case, rps: float, seconds: float) -> int:
    """How many requests take about `seconds` at `rps`, within the limits of time and disk."""
    most = min(REQUESTS_MAX, WRITTEN_BYTES_MAX // case.size if case.command == "set" else REQUESTS_MAX)
    least = 4 * case.connections * case.pipeline
    return max(least, min(most, int(rps * seconds)))


def pilot_requests(case: Case) -> int:
    """How many requests a first, short run makes, which only finds the rate."""
    return max(
        PILOT_MIN,
        min(PILOT_MAX, PILOT_PER_SLOT * case.pipeline * min(case.connections, PILOT_CONNECTIONS_MAX)),
    )


def redis_load(port: int, case: Case, requests: int) -> Rate:
    """Run redis-benchmark once."""
    arguments = {
        "-h": HOST,
        "-p": port,
        "-t": case.command,
        "-c": case.connections,
        "-P": case.pipeline,
        "-d": case.size,
        "-r": keyspace(case.size),
        "-n": requests,
    }
    flat = [str(part) for pair in arguments.items() for part in pair]
    said = _run(["redis-benchmark", *flat, "--csv"], GRACE_S)
    for row in csv.DictReader(io.StringIO(said)):
        if row["test"].lower().startswith(case.command):
            return Rate(
                float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), requests
            )
    raise LoadError(f"redis-benchmark said nothing of {case}: {said}")


def cluster_load(
    port: int,
    connections: int,
    pipeline: int,
    requests: int,
    keys: int,
    *,
    leaders: int,
    command: str = "get",
    size: int = 3,
) -> Rate:
    """Run redis-benchmark's GET or SET at all leaders' primary ports; it takes one leader for no cluster."""
    flags = {
        "-h": HOST,
        "-p": port,
        "-c": connections,
        "-P": pipeline,
        "-n": requests,
        "-r": keys,
        "-d": size,
        "-t": command,
    }
    flat = [str(part) for pair in flags.items() for part in pair]
    said = _run(["redis-benchmark", *flat, *(["--cluster"] if leaders > 1 else []), "--csv"], GRACE_S)
    row = said[said.index('"test"') :]
    for each in csv.DictReader(io.StringIO(row)):
        return Rate(
            float(each["rps"]), float(each["p50_latency_ms"]), float(each["p99_latency_ms"]), requests
        )
    raise LoadError(f"redis-benchmark said nothing: {said}")


def suite_load(
    port: int, connections: int, pipeline: int, requests: int, keys: int, tests: str = ""
) -> dict[str, Rate]:
    """Run redis-benchmark's default suite, or some of its tests, and return the rate of each."""
    command = ["redis-benchmark", "-h", HOST, "-p", port, "-c", connections, "-P", pipeline, "-n", requests]
    command += ["-r", keys] if keys else []
    command += ["-t", tests] if tests else []
    said = _run([*map(str, command), "--csv"], SUITE_S)
    return {
        row["test"].split()[0]: Rate(
            float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), requests
        )
        for row in csv.DictReader(io.StringIO(said))
        if "needed" not in row["test"]
    }


def etcd_load(port: int, case: Case, seconds: float) -> Rate:
    """Run wrk with etcd.lua once: as many requests in flight as connections times pipeline, up to a limit."""
    connections = min(ETCD_CONNECTIONS_MAX, case.connections * case.pipeline)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"]
    script = ["-s", str(ETCD_SCRIPT), f"http://{HOST}:{port}", "--"]
    said = _run(
        [*command, *script, case.command, str(case.size), str(keyspace(case.size))], seconds + GRACE_S
    )
    result = json.loads(said.splitlines()[-1])
    if result["errors"]:
        raise LoadError(f"etcd answered {result['errors']} requests of {case} with errors")
    return Rate(result["rps"], result["p50_ms"], result["p99_ms"], result["requests"])


def _run(command: list[str], timeout_s: float) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{' '.join(command)} was not done in {timeout_s:g} s") from error
    if ended.returncode != 0 or "Error" in ended.stderr:
        raise LoadError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return ended.stdout
