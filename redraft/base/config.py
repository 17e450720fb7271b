"""The one configuration of a node: every setting, its default, its sentence, and how settings must relate.

A Config that exists is a good one: `__post_init__` fills in what follows from other settings (ports,
the advertised address, a cluster of one) and refuses bad combinations with a sentence that says what
to do.  It reads no file and no environment: that is `redraft.base.configload`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from redraft.base.address import Address
from redraft.base.announced import Announced
from redraft.base.limits import (
    ENTRY_BYTES_MAX,
    GIB,
    GROUPS_MAX,
    KIB,
    MIB,
    PEER_PORT_OFFSET,
    PORT_MAX,
    PRIMARY_PORT_OFFSET,
    REPLICA_PORT_OFFSET,
    REQUEST_BYTES_MAX,
    TICK_MS,
    VALUE_BYTES_MAX,
)
from redraft.base.relations import check_relations
from redraft.base.setting import (
    ADDRESS,
    ADDRESSES,
    COUNT,
    MILLISECONDS,
    OPTIONAL_ADDRESS,
    OPTIONAL_ANNOUNCED,
    OPTIONAL_PATH,
    PATH,
    PERCENT,
    PORT,
    SECONDS,
    SIZE,
    WORD,
    WORDS,
    YES_OR_NO,
    Setting,
    setting,
    settings_of,
)

NODE, STORAGE, CLUSTER, CONTROLLER, CONSENSUS, CLIENTS, MEMORY, LOG = (
    "The node",
    "The engine",
    "The cluster",
    "The controller",
    "Consensus and reads",
    "Clients",
    "Memory",
    "The log and snapshots",
)
CONTROLLER_KINDS = ("restore", "drain", "replicas", "leaders", "slots", "split")
"""What the controller decides (`redraft.control.plan.Kind`), in the order of what comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node's settings; ports, `advertise`, `announce` and `cluster` are filled in, never 0 or empty."""

    listen: Address = setting(
        Address("127.0.0.1", 6379),
        ADDRESS,
        NODE,
        """Where clients connect. The host is used for the node's other ports too. Any host but a
        loopback one needs a cluster secret.""",
    )
    dir: Path = setting(
        Path("redraft-data"),
        PATH,
        NODE,
        "The data directory: the node's identity, its log, its state. One per node.",
    )
    advertise: Address | None = setting(
        None,
        OPTIONAL_ADDRESS,
        NODE,
        """The address by which the other nodes and cluster clients know this node, as it stands in
        `cluster`; `listen` unless given. Needed when listening on every interface (0.0.0.0).""",
    )
    announce: Announced | None = setting(
        None,
        OPTIONAL_ANNOUNCED,
        NODE,
        """Where clients outside of a translated network or a container find this node: what `CLUSTER SLOTS`,
        `SHARDS`, `NODES` and `MOVED` tell them. `HOST` (the ports are those the node listens on),
        `HOST:PORT` (the client port; the others are as far from it as inside) or
        `HOST:PORT:PRIMARY:REPLICA`. The host of `advertise` unless given. Of no meaning for nodes, which
        find each other by `advertise`.""",
    )
    primary_port: int = setting(
        0,
        PORT,
        NODE,
        "Port for cluster clients, for the slots this node leads; client port + 1000 unless given.",
        low=0,
        high=PORT_MAX,
    )
    replica_port: int = setting(
        0,
        PORT,
        NODE,
        "Port for cluster clients, for the slots this node follows; client port + 2000 unless given.",
        low=0,
        high=PORT_MAX,
    )
    peer_port: int = setting(
        0,
        PORT,
        NODE,
        "Port for the other nodes; client port + 10000 (or the one after @ in `cluster`) unless given.",
        low=0,
        high=PORT_MAX,
    )
    log_level: str = setting(
        "info", WORD, NODE, "How much to say on stderr.", choices=("debug", "info", "warning", "error")
    )

    cluster: tuple[Address, ...] = setting(
        (),
        ADDRESSES,
        CLUSTER,
        """The first configuration: every node's client address (`HOST:PORT`, or `HOST:PORT@PEERPORT`),
        the same list on every node. Empty: a cluster of one.""",
    )
    join: Address | None = setting(
        None,
        OPTIONAL_ADDRESS,
        CLUSTER,
        """Become part of a cluster that exists, in an empty directory: the address of any of its nodes (its
        client port or its peer port). Of no meaning once the node has joined; not together with
        `cluster`.""",
    )
    cluster_secret_file: Path | None = setting(
        None,
        OPTIONAL_PATH,
        CLUSTER,
        """A file with the secret that nodes prove to each other, the same on every node. Without a
        secret a node binds to loopback addresses only.""",
    )
    cluster_secret: str = setting(
        "",
        WORD,
        CLUSTER,
        """The secret itself, for the environment; a file is better, and a flag is not offered as others
        could read it.""",
        secret=True,
    )
    groups: int = setting(
        3,
        COUNT,
        CLUSTER,
        """Raft groups the slots are split over, fixed at the first start. One group: every command may
        touch any keys; several: leaders, and so load, spread over the nodes.""",
        low=1,
        high=GROUPS_MAX,
    )
    replication_factor: int = setting(
        3,
        COUNT,
        CLUSTER,
        "Replicas of each group (as many as there are nodes, if those are fewer).",
        low=1,
        high=7,
    )

    controller: bool = setting(
        True,
        YES_OR_NO,
        CONTROLLER,
        """Whether the cluster looks after itself: replicas of nodes that are gone are made anew, nodes that
        are drained are emptied, replicas, leaders and slots are kept even. It is the node that leads the
        topology group that decides, by its own settings: set this, and the others below, alike on all
        nodes.""",
        live=True,
    )
    controller_off: tuple[str, ...] = setting(
        (),
        WORDS,
        CONTROLLER,
        """Kinds of things that the controller leaves alone: any of `restore`, `drain`, `replicas`,
        `leaders`, `slots`, `split`.""",
        choices=CONTROLLER_KINDS,
        live=True,
    )
    controller_interval_ms: int = setting(
        1000, MILLISECONDS, CONTROLLER, "How often it looks what is to be done.", low=TICK_MS, live=True
    )
    controller_dead_node_ms: int = setting(
        300_000,
        MILLISECONDS,
        CONTROLLER,
        """A node that has not answered for so long is taken to be gone, and its replicas are made anew on
        others. Longer than a restart or a reboot: each of them costs a snapshot.""",
        low=1000,
        live=True,
    )
    controller_restores_at_once: int = setting(
        4,
        COUNT,
        CONTROLLER,
        "Groups whose missing replicas are made anew at the same time.",
        low=1,
        live=True,
    )
    controller_changes_at_once: int = setting(
        1,
        COUNT,
        CONTROLLER,
        """Other changes under way at the same time: replicas that move, slots that move, groups that are
        split. Two of them never share a node.""",
        low=1,
        live=True,
    )
    controller_busy_percent: int = setting(
        75,
        PERCENT,
        CONTROLLER,
        """With so much of its core in use a node is given nothing; when the nodes are so on average,
        nothing is done but making missing replicas anew.""",
        low=1,
        high=100,
        live=True,
    )

    engine: Literal["hash", "btree", "rocksdb"] = setting(
        "hash",
        WORD,
        STORAGE,
        """What stores the keys of this node: `hash` in memory, `btree` (LMDB) or `rocksdb` on disk, for
        more data than there is memory. Nodes of a cluster may have different ones.""",
        choices=("hash", "btree", "rocksdb"),
    )
    engine_memory_bytes: int = setting(
        32 * MIB,
        SIZE,
        STORAGE,
        """With an engine on disk: what was written to a group lately is kept in memory up to about this
        size, and then goes to the disk; twice as much at most.""",
        low=64 * KIB,
    )

    election_timeout_ms: int = setting(
        500,
        MILLISECONDS,
        CONSENSUS,
        """How long a follower does without its leader before it stands for election; the real wait is
        random between this and twice this. The pause clients see when a machine is lost.""",
        low=50,
        high=60_000,
    )
    heartbeat_ms: int = setting(
        100,
        MILLISECONDS,
        CONSENSUS,
        "How often nodes vouch for each other; at most a third of `election_timeout_ms`.",
        low=TICK_MS,
        high=20_000,
    )
    read_mode: Literal["index", "lease"] = setting(
        "index",
        WORD,
        CONSENSUS,
        """How a leader makes a read linearizable: `index` asks a quorum (one round for all waiting
        reads), `lease` trusts clocks to run equally fast within `clock_drift_percent_max`.""",
        choices=("index", "lease"),
    )
    clock_drift_percent_max: int = setting(
        5,
        PERCENT,
        CONSENSUS,
        """By how much a lease is shorter than the election time-out: the most that two clocks' speeds
        may differ.""",
        low=1,
        high=50,
    )
    clock_offset_max_ms: int = setting(
        2000,
        MILLISECONDS,
        CONSENSUS,
        """A node whose wall clock is further than this off the median of the nodes' clocks does not
        lead.""",
        low=10,
    )
    request_timeout_ms: int = setting(
        5000,
        MILLISECONDS,
        CONSENSUS,
        "How long a command may take before its client is told that the outcome is unknown (-TIMEOUT).",
        low=100,
        live=True,
    )
    leader_wait_ms: int = setting(
        4000,
        MILLISECONDS,
        CONSENSUS,
        """How long a command waits for its group to have a leader before its client is told
        -CLUSTERDOWN (not executed); at most `request_timeout_ms`.""",
        low=0,
        live=True,
    )
    entry_bytes_max: int = setting(
        1 * MIB,
        SIZE,
        CONSENSUS,
        """Commands are gathered into one entry up to this size (a larger command is an entry of its
        own).""",
        low=4 * KIB,
        high=ENTRY_BYTES_MAX,
    )
    entry_commands_max: int = setting(
        4096,
        COUNT,
        CONSENSUS,
        "Commands of one node gathered into one part of an entry; bounds how long applying it takes.",
        low=1,
        high=1_000_000,
    )
    inflight_parts_max: int = setting(
        4,
        COUNT,
        CONSENSUS,
        """Parts a node that does not lead a group may have on their way to its leader; more wait and
        go together.""",
        low=1,
        high=1024,
    )
    inflight_reads_max: int = setting(
        1,
        COUNT,
        CONSENSUS,
        """Batches of reads that may wait for a read index at the same time, per group; more wait and go
        together.""",
        low=1,
        high=1024,
    )
    inflight_entries_max: int = setting(
        16,
        COUNT,
        CONSENSUS,
        "Entries a leader may have proposed and not yet committed, per group.",
        low=1,
        high=65536,
    )
    inflight_appends_max: int = setting(
        128, COUNT, CONSENSUS, "Appends on their way to one follower, per group.", low=1, high=65536
    )
    inflight_bytes_max: int = setting(
        64 * MIB,
        SIZE,
        CONSENSUS,
        "Bytes of appends on their way to one follower, per group; at least `append_bytes_max`.",
        low=64 * KIB,
    )
    append_bytes_max: int = setting(
        2 * MIB,
        SIZE,
        CONSENSUS,
        """Entries are sent together up to this size (a larger entry goes alone); at least
        `entry_bytes_max`.""",
        low=4 * KIB,
        high=256 * MIB,
    )
    peer_queue_bytes_max: int = setting(
        512 * MIB,
        SIZE,
        CONSENSUS,
        """Unsent bytes for one peer beyond which its link is closed and made anew; at least
        `inflight_bytes_max`.""",
        low=MIB,
    )

    maxclients: int = setting(
        10_000, COUNT, CLIENTS, "Client connections at the same time.", low=1, high=1_000_000, live=True
    )
    timeout: int = setting(
        0,
        SECONDS,
        CLIENTS,
        "Close a connection idle for this long; 0: never.",
        low=0,
        high=2**31 - 1,
        live=True,
    )
    tcp_backlog: int = setting(511, COUNT, CLIENTS, "Connections waiting to be accepted.", low=1, high=65535)
    tcp_keepalive: int = setting(
        300,
        SECONDS,
        CLIENTS,
        "Probe a silent connection after this long; 0: never.",
        low=0,
        high=2**15,
        live=True,
    )
    proto_max_bulk_len: int = setting(
        VALUE_BYTES_MAX,
        SIZE,
        CLIENTS,
        "The longest single argument a client may send.",
        low=1 * MIB,
        high=VALUE_BYTES_MAX,
        live=True,
    )
    client_query_buffer_limit: int = setting(
        1 * GIB,
        SIZE,
        CLIENTS,
        "Unread request bytes of one client; more than `proto_max_bulk_len`.",
        low=1 * MIB,
        high=REQUEST_BYTES_MAX,
        live=True,
    )
    client_output_buffer_limit: int = setting(
        256 * MIB,
        SIZE,
        CLIENTS,
        """Replies waiting for one client that does not read them; beyond it is disconnected. 0: no
        limit.""",
        low=0,
        live=True,
    )
    client_output_buffer_soft_limit: int = setting(
        64 * MIB,
        SIZE,
        CLIENTS,
        "As above, when exceeded for `client_output_buffer_soft_seconds` on end. 0: no limit.",
        low=0,
        live=True,
    )
    client_output_buffer_soft_seconds: int = setting(
        60, SECONDS, CLIENTS, "See `client_output_buffer_soft_limit`.", low=0, live=True
    )

    maxmemory: int = setting(
        0,
        SIZE,
        MEMORY,
        """Memory for keys and values, as each node estimates it; beyond it writes that add data get
        -OOM, nothing is evicted. 0: no limit.""",
        low=0,
        live=True,
    )
    maxmemory_clients: int = setting(
        2 * GIB,
        SIZE,
        MEMORY,
        """Request and reply buffers of all clients together; beyond it sockets are not read, and the
        client with the largest replies is disconnected. 0: no limit.""",
        low=0,
        live=True,
    )

    log_segment_bytes: int = setting(
        64 * MIB, SIZE, LOG, "Size of a log file, preallocated.", low=4 * MIB, high=4 * GIB
    )
    log_cache_bytes: int = setting(
        128 * MIB, SIZE, LOG, "Recent entries kept in memory for followers that are a little behind.", low=0
    )
    log_tail_bytes: int = setting(
        16 * MIB,
        SIZE,
        LOG,
        """Entries of each group kept in the log behind its snapshot, so that a node which was away for a
        moment needs no snapshot.""",
        low=0,
    )
    log_bytes_max: int = setting(
        1 * GIB,
        SIZE,
        LOG,
        """Entries of all groups of a node together; beyond it the group with most of them is written
        down.""",
        low=1 * MIB,
    )
    snapshot_log_bytes: int = setting(
        64 * MIB,
        SIZE,
        LOG,
        """A group's state is written down (a snapshot) and its log compacted when the log has grown by
        this much, or by the size of the last snapshot if that is more.""",
        low=1 * KIB,
    )
    snapshot_interval: int = setting(
        3600,
        SECONDS,
        LOG,
        "A group whose last snapshot is older than this, and that has changed, is written down again.",
        low=1,
    )
    snapshot_bytes_per_s: int = setting(
        32 * MIB,
        SIZE,
        LOG,
        """How fast a node writes a snapshot, and how fast it sends them to others, all together; a limit to
        keep clients' requests quick.""",
        low=64 * KIB,
    )

    def __post_init__(self) -> None:
        for each in SETTINGS:
            each.check(getattr(self, each.name))
        self._fill_in()
        check_relations(self)

    def _fill_in(self) -> None:
        fill = object.__setattr__
        if self.advertise is None:
            fill(self, "advertise", self.listen)
        if not self.cluster:
            fill(self, "cluster", (self.own_address._replace(given_peer_port=self.peer_port),))
        listed = next(
            (each for each in self.cluster if each.client == self.own_address.client), self.own_address
        )
        for name, offset in (
            ("primary_port", PRIMARY_PORT_OFFSET),
            ("replica_port", REPLICA_PORT_OFFSET),
            ("peer_port", PEER_PORT_OFFSET),
        ):
            if not getattr(self, name):
                given = listed.given_peer_port if name == "peer_port" else 0
                fill(self, name, given or self.listen.port + offset)
        announced = self.announce or Announced(self.own_address.host)
        fill(self, "announce", announced.filled(self.port, self.primary_port, self.replica_port))

    @property
    def host(self) -> str:
        """The host all of the node's ports are bound to."""
        return self.listen.host

    @property
    def port(self) -> int:
        """The client port."""
        return self.listen.port

    @property
    def own_address(self) -> Address:
        """This node's entry in `cluster`."""
        assert self.advertise is not None
        return self.advertise

    @property
    def announced(self) -> Announced:
        """Where clients are told to find this node."""
        assert self.announce is not None
        return self.announce

    @property
    def lease_ms(self) -> float:
        """How long a leader may trust one round of a quorum, from the moment the round was sent."""
        return self.election_timeout_ms * (1 - self.clock_drift_percent_max / 100)

    def changed(self, **values: object) -> Self:
        """Return a Config with these settings changed (CONFIG SET); raises ConfigError as loading does."""
        read = {name: SETTING_BY_NAME[name].read(value) for name, value in values.items()}
        return dataclasses.replace(self, **read)


SETTINGS: tuple[Setting, ...] = settings_of(Config)
SETTING_BY_NAME: dict[str, Setting] = {each.name: each for each in SETTINGS}
