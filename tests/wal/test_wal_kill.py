"""kill -9 of a real process with real threads, collecting as it writes: what it reported durable is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from redraft.wal import Log, LogOptions
from redraft.wal.segment import name_of
from tests.wal.steps import contents, entry

OPTIONS = LogOptions(segment_bytes=1 << 20, first_segment_bytes=256 << 10, reserve_bytes=64 << 10)

CHILD = """
import select, sys
from pathlib import Path
from redraft.wal import Log
from tests.wal.steps import append
from tests.wal.test_wal_kill import OPTIONS
log = Log.open(Path(sys.argv[1]), OPTIONS)
ready = select.poll()
ready.register(log.fileno(), select.POLLIN)
reached = {}
while True:
    for _ in range(3):
        for group in (1, 2):
            sequence = append(log, group, size=3000)
        reached[sequence] = (log.group(1).last_index, log.group(2).last_index)
    for group, kept in ((1, 100), (2, 5)):
        view = log.group(group)
        view.compact(max(view.last_index - kept, view.first_index - 1))
    log.collect()
    ready.poll()
    durable = log.take_durable()
    print(*max([reached.pop(each) for each in list(reached) if each <= durable], default=(0, 0)), flush=True)
"""


def test_killed_process_leaves_all_it_called_durable(tmp_path: Path) -> None:
    """Killed in the middle of its writes, again and again: nothing reported is lost, nothing is mixed up."""
    root = Path(__file__).parent.parent.parent
    for round_of in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        lines = [child.stdout.readline() for _ in range(100 + 37 * round_of)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        lines = [line for line in lines if line.endswith("\n")]  # the last may be torn by the kill
        complaint = child.stderr.read()
        child.wait()
        child.stdout.close()
        child.stderr.close()
        assert child.returncode == -signal.SIGKILL, complaint
        # A kill may fall between the groups' batches, so each has a last index of its own.
        reported = [
            max(int(index) for index in column) for column in zip(*map(str.split, lines), strict=True)
        ]
        log = Log.open(tmp_path, OPTIONS)
        for group in (1, 2):
            last = log.group(group).last_index
            assert last >= reported[group - 1] > 0
            first = log.group(group).first_index
            assert contents(log.group(group)) == [entry(index, size=3000) for index in range(first, last + 1)]
            assert first <= last
        log.close()
    assert not (tmp_path / name_of(1)).exists(), "the oldest went on the way"
