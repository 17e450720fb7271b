"""What is kept on disk, broken: the log and snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redraft.node.snapshots import Snapshots
from redraft.replica import snapshotting
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import Loading, Making
from redraft.simulation.breaking import mutation, replaced
from redraft.simulation.disk import SimulatedFiles
from redraft.snapshot.format import End, Modified, SessionState
from redraft.snapshot.store import Writing
from redraft.wal.recovery import Recovery

# ---- the log ----


@mutation("what the log calls durable was synced")
def fsync_left_out() -> Iterator[None]:
    def sync(files: SimulatedFiles, _fd: int) -> None:
        files.effect()

    with replaced(SimulatedFiles, sync=sync):
        yield


@mutation("after a failed fsync the page cache is not trusted: recovery copies the tail")
def tail_trusted_after_failed_fsync() -> Iterator[None]:
    take = Recovery._take

    def trust(recovery: Recovery, window: bytes, found: Any, first: int, address: int) -> None:
        recovery._durable = max(recovery._durable, first + len(found.batch_offsets) - 1)
        take(recovery, window, found, first, address)

    with replaced(Recovery, _take=trust):
        yield


# ---- snapshots ----


@mutation("a snapshot is of the entry that it names")
def snapshot_index_off_by_one() -> Iterator[None]:
    begin = Making.__init__

    def begin_too_high(making: Making, applier: Any, *of: Any) -> None:
        applier.applied_index += 1
        begin(making, applier, *of)
        applier.applied_index -= 1

    with replaced(Making, __init__=begin_too_high):
        yield


@mutation("what was applied before a restart is not applied again behind it")
def reapply_after_restart() -> Iterator[None]:
    take = Loading.take

    def take_less(loading: Loading, item: Any) -> bool:
        if isinstance(item, SessionState):
            return False
        ended = take(loading, item)
        if isinstance(item, End):
            log = loading.applier._log
            loading.applier.applied_index = max(log.first_index - 1, loading.applier.applied_index - 3)
        return ended

    with replaced(Loading, take=take_less):
        yield


@contextmanager
def _left_out(kind: type) -> Iterator[None]:
    whole = snapshotting._beside_keys

    def partly(*of: Any) -> list[Any]:
        return [item for item in whole(*of) if not isinstance(item, kind)]

    with replaced(snapshotting, _beside_keys=partly):
        yield


@mutation("a snapshot holds the sessions: what was executed is not executed again")
def sessions_left_out_of_snapshots() -> Iterator[None]:
    with _left_out(SessionState):
        yield


@mutation("a snapshot holds when slots were changed: a watched key that was changed stays so")
def watch_left_out_of_snapshots() -> Iterator[None]:
    with _left_out(Modified):
        yield


@mutation("a slice of a snapshot without a key is not its end")
def snapshot_ends_at_an_empty_slice() -> Iterator[None]:
    go_on = Making._go_on

    def go_on_or_end(making: Making, keys_max: int) -> Iterator[bytes]:
        blocks = list(go_on(making, keys_max))
        if not blocks:
            making._release()
            blocks.append(making._encoder.end())
        return iter(blocks)

    with replaced(Making, _go_on=go_on_or_end):
        yield


@mutation("the log is let go only behind a snapshot that is durable")
def compacted_before_the_snapshot_is_durable() -> Iterator[None]:
    make = Snapshots.make

    def make_and_compact(snapshots: Snapshots, replica: Replica) -> None:
        make(snapshots, replica)
        replica.raft.log.compact(replica.applier.applied_index)

    with replaced(Snapshots, make=make_and_compact):
        yield


@mutation("a snapshot gets its name when all of it is synced")
def snapshot_named_before_it_is_synced() -> Iterator[None]:
    publish = Writing._publish

    def publish_unsynced(writing: Writing) -> None:
        with replaced(SimulatedFiles, sync=lambda _files, _fd: None):
            publish(writing)

    with replaced(Writing, _publish=publish_unsynced):
        yield
