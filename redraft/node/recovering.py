"""A quorum is lost for good: one node that is left is made the whole cluster, offline.

Into the log of every group goes a configuration of this node alone, in a term above all that the group has
seen; into the topology group's also the command that says so.  The node then starts as ever, elects itself,
and what stood in its logs is what the cluster holds: entries that only the lost nodes had are gone, and
entries nobody was told of may appear.  The cluster gets a new id, so that a node of the old one that turns
up again is refused and can't bring its past along.

A group that the node has nothing of is lost, and another one, with another number, begins in its place: its
log would begin with the slots that it owned at first, and others may have come and gone since.

Invariant: what is appended is appended to all groups before the new id is saved, and appending it again
(after a crash in between) does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from redraft.base.errors import DamagedError, DirectoryError
from redraft.control.applier import encode_request
from redraft.control.topology import TOPOLOGY_GROUP, Recover, Topology
from redraft.node.bootstrap import Configuration
from redraft.node.hosting import put_behind
from redraft.node.identity import DataDirectory
from redraft.raft.configuration import Configuration as Voters
from redraft.raft.types import Entry, EntryKind, HardState
from redraft.replica.part import decode_header, encode_part, encode_payload, mark
from redraft.snapshot.format import Header
from redraft.snapshot.store import Store
from redraft.wal.group import GroupLog
from redraft.wal.log import Log

LOG_BYTES_MAX = 1 << 30
"""More than a log of the topology group ever is."""


@dataclass(frozen=True)
class Found:
    """What a data directory has of its cluster: groups with their last entries, and the groups it lacks."""

    node_id: int
    cluster_id: str
    held: dict[int, int]
    lacking: tuple[int, ...]
    clock_ms: int
    """Of the topology group."""


def examine(
    directory: DataDirectory,
    first: Configuration,
    topology: Topology,
    log: Log,
    store: Store,
    checkpoints: Mapping[int, Header],
) -> Found:
    """See what there is, and put each log behind its state on disk, as a start would.

    `topology` is the newest the node has seen; `checkpoints` is what its engines have on disk, by group.
    Raises DirectoryError or DamagedError when the node can't be made a cluster.
    """
    for group in (TOPOLOGY_GROUP, *(each.group_id for each in topology.groups)):
        if group in store.damaged:
            raise DamagedError(f"{store.damaged[group]}. Recover another node of the cluster.")
        if group not in directory.dropped:
            _fit(log.group(group), group, store, checkpoints.get(group), directory)
    if log.group(TOPOLOGY_GROUP).last_index < topology.epoch and topology.epoch > 1:
        raise DirectoryError(
            f"The node in {directory.path} has not heard all of its cluster's topology: recover another one."
        )
    founded = {each.group_id for each in first.topology.groups if first.node_id in each.voters}
    founded |= {each.group_id for each in topology.groups if first.node_id in each.founders}
    held = {
        each.group_id: log.group(each.group_id).last_index
        for each in topology.groups
        if each.group_id not in directory.dropped
        and (log.group(each.group_id).last_index or each.group_id in founded)
    }
    lacking = tuple(each.group_id for each in topology.groups if each.group_id not in held)
    snapshot = store.newest.get(TOPOLOGY_GROUP)
    known_ms = snapshot.header.clock_ms if snapshot is not None else 0
    clock_ms = max(known_ms, _clock_ms(log.group(TOPOLOGY_GROUP)))
    return Found(first.node_id, first.cluster_id, held, lacking, clock_ms)


def _fit(
    view: GroupLog, group: int, store: Store, checkpoint: Header | None, directory: DataDirectory
) -> None:
    states = [] if checkpoint is None else [checkpoint]
    if group in store.newest:
        states.append(store.newest[group].header)
    known = max((header.index for header in states), default=0)
    if view.first_index > known + 1:
        raise DamagedError(
            f"The log of group {group} begins with entry {view.first_index}, its state in {directory.path} "
            f"ends with entry {known}: what is between is missing. Recover another node of the cluster."
        )
    for header in states:
        if header.index == known:
            put_behind(view, header)


def _clock_ms(view: GroupLog) -> int:
    """The latest clock in a log: the entry to come must not be before it."""
    entries = view.slice(view.first_index, view.last_index + 1, LOG_BYTES_MAX) if view.last_index else []
    timed = [entry for entry in entries if entry.kind in (EntryKind.PARTS, EntryKind.EXPIRE)]
    return max((decode_header(entry.data).clock_ms for entry in timed), default=0)


def recover(directory: DataDirectory, found: Found, log: Log) -> str:
    """Make the node a cluster of its own; returns the cluster's new id.  All is durable when this returns."""
    for group in sorted((TOPOLOGY_GROUP, *found.held)):
        _take_over(log.group(group), group, found, directory.identity.incarnation)
    log.flush()
    log.sync()
    name = f"{found.cluster_id} recovered from {found.node_id}"
    cluster_id = hashlib.sha256(name.encode()).hexdigest()[:40]
    gone = directory.dropped.difference(found.held)
    directory.save(msgspec.structs.replace(directory.identity, cluster_id=cluster_id, dropped=gone))
    return cluster_id


def _take_over(view: GroupLog, group: int, found: Found, incarnation: int) -> None:
    term, last_index, node_id = _term(view) + 1, view.last_index, found.node_id
    view.save(HardState(term, node_id))
    entries = [Entry(term, last_index + 1, EntryKind.CONFIGURATION, Voters((node_id,)).encode())]
    if group == TOPOLOGY_GROUP:
        commands = [encode_request(Recover(node_id, found.lacking))]
        part = encode_part(node_id, incarnation, 1, 1, True, [mark(1, 2)], commands)
        payload = encode_payload(found.clock_ms, 0, False, [part])
        entries.append(Entry(term, last_index + 2, EntryKind.PARTS, payload))
    view.append(entries)


def _term(view: GroupLog) -> int:
    return max(view.hard_state.term, view.term(view.last_index))
