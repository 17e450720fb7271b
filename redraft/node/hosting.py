"""The replicas a node hosts: each opened from its newest snapshot and the log behind it.

Invariant: a replica's state, its snapshot and its log fit together before its core exists.  What a crash
may leave is put right here (a snapshot that was installed while the log was not yet cut to it); what it
can't leave is damage, and refused by name: a log that begins behind the snapshot has a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from redraft.base.errors import DamagedError
from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft, RaftConfig
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import Loading
from redraft.snapshot.format import Header
from redraft.snapshot.store import Store
from redraft.topology.cluster_map import Group

if TYPE_CHECKING:
    from redraft.node.node import Node

MakeApplier = Callable[[Group, LogView], Applier]
"""Makes an empty state for a group's replica."""

REBUILD = "Rebuild this node from its peers: docs/operations.md, 'A damaged node'."


def open_replica(
    node: Node,
    group: Group,
    view: LogView,
    *,
    store: Store,
    make_applier: MakeApplier,
    random: Callable[[], float],
    seed: Callable[[], int],
    first_start: bool,
) -> Replica:
    """Return a group's replica as its snapshot and its log have it; raises DamagedError."""
    loading = Loading(make_applier(group, view))
    header = _load(group.group_id, view, store, loading)
    configuration = Configuration(group.voters)
    if header is not None:
        configuration = Configuration.decode(header.configuration)
        if view.last_index < header.index or view.term(header.index) != header.term:
            view.restore(header.index, header.term)  # it was installed, and the log not yet cut to it
    config, now_ms = node.config, node.now_ms()
    # A restarted node forgot whom it promised a lease: it votes for nobody while one may last.
    alone = configuration.nodes == (node.node_id,) and not view.configurations()
    raft = Raft(
        node_id=node.node_id,
        configuration=configuration,
        log=view,
        config=RaftConfig(
            election_timeout_ms=config.election_timeout_ms,
            inflight_appends_max=config.inflight_appends_max,
            inflight_bytes_max=config.inflight_bytes_max,
            append_bytes_max=config.append_bytes_max,
            lease=config.read_mode == "lease",
        ),
        random=random,
        now_ms=now_ms,
        applied_index=loading.applier.applied_index,
        may_vote_from_ms=0.0 if first_start or alone else now_ms + config.election_timeout_ms,
        vouched_ms=partial(_vouched_ms, node, group.group_id),
    )
    return Replica(group, raft, loading.applier, seed)


def _load(group: int, view: LogView, store: Store, loading: Loading) -> Header | None:
    if group in store.damaged:
        raise DamagedError(f"{store.damaged[group]}. {REBUILD}")
    snapshot = store.newest.get(group)
    known = snapshot.index if snapshot is not None else 0
    if view.first_index > known + 1:
        raise DamagedError(
            f"the log of group {group} begins with entry {view.first_index}, its snapshot in "
            f"{store.directory} ends with entry {known}: what is between is missing. {REBUILD}"
        )
    if snapshot is None:
        return None
    for item in store.items(snapshot):
        loading.take(item)
    return loading.header


def _vouched_ms(node: Node, group: int, leader: int, term: int) -> float:
    return node.liveness.vouched_ms(leader, group, term)
