"""What machine, which versions, how fast its disk syncs: without them a figure says nothing.

Also the few things the benchmarks ask of the machine: CPU time and memory of a process, open files.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import redraft

SYNCS = 200
SYNC_BYTES = 4_096
DISTURBED_LOAD = 0.3  # load average per core above which other programs spoil the figures
TICKS = os.sysconf("SC_CLK_TCK")
MEBIBYTE = 1 << 20
WIDTH = 150


@dataclass(frozen=True)
class Usage:
    """A process at a moment: CPU seconds, resident bytes, voluntary context switches (wake-ups)."""

    cpu_s: float
    resident_bytes: int
    switches: int


def usage(pid: int) -> Usage:
    """Read what the kernel counts for the process and its threads."""
    # The name in the second field may hold blanks; what follows the last bracket is fields 3 and up.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    switches = sum(
        int(line.split(":")[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )
    return Usage(
        (int(fields[11]) + int(fields[12])) / TICKS, int(status["VmRSS"].split()[0]) * 1024, switches
    )


def raise_open_files() -> None:
    """Let this process and its children open as many files as the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def facts(directory: Path) -> dict[str, str]:
    """Return what a reader needs to compare figures, name by name; syncs a small file in `directory`."""
    loads = os.getloadavg()
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "redraft": f"{redraft.__version__} {_commit()}",
        "redis-server": _said("redis-server", "--version"),
        "etcd": _said("etcd", "--version"),
        "wrk": _said("wrk", "-v"),
        "data on": f"{directory} ({_file_system(directory)}), fdatasync {_sync_us(directory):.0f} us",
        "load average": " ".join(f"{load:.2f}" for load in loads),
    }


def console() -> Console:
    """A console as wide as the tables, also where the output goes to a file."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def show(console: Console, stated: dict[str, str]) -> None:
    """Print the facts, and say so when other programs are at work."""
    for name, fact in stated.items():
        console.print(f"[dim]{name:>13}[/] {fact}", highlight=False)
    if os.getloadavg()[0] > DISTURBED_LOAD * (os.cpu_count() or 1):
        console.print("[yellow]This machine is busy with other things; ratios in one run suffer less.[/]")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _said(*command: str) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return "not installed"
    return ((ended.stdout or ended.stderr).splitlines() or ["unknown"])[0].strip()


def _commit() -> str:
    said = _said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return "" if said.startswith("fatal") else said


def _file_system(directory: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind = line.split()[:3]
        if str(directory).startswith(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def _sync_us(directory: Path) -> float:
    """Median time of writing 4 KiB into preallocated space and syncing it."""
    path = directory / "sync-probe"
    taken = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.write(descriptor, bytes(SYNCS * SYNC_BYTES))
        os.fsync(descriptor)
        for number in range(SYNCS):
            start = time.perf_counter()
            os.pwrite(descriptor, b"x" * SYNC_BYTES, number * SYNC_BYTES)
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - start)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(taken) * 1e6
