"""The table's rows for Redis Cluster's own commands, which a node answers by itself."""

from __future__ import annotations

from functools import partial

from redraft.commands import whole
from redraft.commands.command import Command, row

_cluster = partial(row, group="cluster", local=True)
_VARIES = "nondeterministic_output"
_CHANGES = "admin stale no_async_loading"
_RANGES = "start-slot end-slot [start-slot end-slot ...]"

_CLUSTER = (
    _cluster("cluster|addslots", -3, _CHANGES, since="3.0.0", summary="Refused: groups own the slots",
             complexity="O(N)", usage="slot [slot ...]"),
    _cluster("cluster|addslotsrange", -4, _CHANGES, since="7.0.0", summary="Refused: groups own the slots",
             complexity="O(N)", usage=_RANGES),
    _cluster("cluster|bumpepoch", 2, _CHANGES, since="3.0.0", summary="The cluster's epoch, which stays",
             tips=_VARIES),
    _cluster("cluster|count-failure-reports", 3, "admin stale", since="3.0.0",
             summary="1 if this node can't reach a node, else 0", complexity="O(N)", usage="node-id",
             tips=_VARIES),
    _cluster("cluster|countkeysinslot", 3, "stale", since="3.0.0", summary="The number of keys in a slot",
             usage="slot", handler=whole.cluster),
    _cluster("cluster|delslots", -3, _CHANGES, since="3.0.0", summary="Refused: groups own the slots",
             complexity="O(N)", usage="slot [slot ...]"),
    _cluster("cluster|delslotsrange", -4, _CHANGES, since="7.0.0", summary="Refused: groups own the slots",
             complexity="O(N)", usage=_RANGES),
    _cluster("cluster|failover", -2, _CHANGES, since="3.0.0",
             summary="Refused: groups elect their leaders", usage="[FORCE|TAKEOVER]"),
    _cluster("cluster|flushslots", 2, _CHANGES, since="3.0.0", summary="Refused: groups own the slots"),
    _cluster("cluster|forget", 3, _CHANGES, since="3.0.0",
             summary="Refused: nodes are removed from the topology", usage="node-id"),
    _cluster("cluster|getkeysinslot", 4, "stale", since="3.0.0", summary="Some keys of a slot",
             complexity="O(N)", usage="slot count", tips=_VARIES, handler=whole.cluster),
    _cluster("cluster|help", 2, "loading stale", since="5.0.0", summary="What CLUSTER can do"),
    _cluster("cluster|info", 2, "stale", since="3.0.0", summary="The state of the cluster", tips=_VARIES),
    _cluster("cluster|keyslot", 3, "stale", since="3.0.0", summary="The slot of a key", usage="key"),
    _cluster("cluster|links", 2, "stale", since="7.0.0", summary="The links with the other nodes",
             complexity="O(N)", tips=_VARIES),
    _cluster("cluster|meet", -4, _CHANGES, since="3.0.0", summary="Refused: nodes join by --join",
             usage="ip port [cluster-bus-port]"),
    _cluster("cluster|migration", -4, _CHANGES, since="8.4.0", complexity="O(N)",
             summary="Move slots to a group that the node leads; see moves of slots, give them up",
             usage="<IMPORT start-slot end-slot [start-slot end-slot ...]|CANCEL <ID task-id|ALL>"
                   "|STATUS <ID task-id|ALL>>"),
    _cluster("cluster|myid", 2, "stale", since="3.0.0", summary="The id of the address that is asked"),
    _cluster("cluster|myshardid", 2, "stale", since="7.2.0",
             summary="The id that a master and its replicas have in common", tips=_VARIES),
    _cluster("cluster|nodes", 2, "stale", since="3.0.0", summary="The nodes and their slots",
             complexity="O(N)", tips=_VARIES),
    _cluster("cluster|replicas", 3, "admin stale", since="5.0.0", summary="The replicas of a master",
             usage="node-id", tips=_VARIES),
    _cluster("cluster|replicate", 3, _CHANGES, since="3.0.0",
             summary="Refused: replicas are of groups, not of nodes", usage="node-id"),
    _cluster("cluster|reset", -2, "admin noscript stale", since="3.0.0",
             summary="Refused: a node begins anew in an empty directory", complexity="O(N)",
             usage="[HARD|SOFT]"),
    _cluster("cluster|saveconfig", 2, _CHANGES, since="3.0.0",
             summary="Saves the topology as it is now; else changed slots wait a second"),
    _cluster("cluster|set-config-epoch", 3, _CHANGES, since="3.0.0",
             summary="Refused: the epoch is the topology's", usage="config-epoch"),
    _cluster("cluster|setslot", -4, _CHANGES, since="3.0.0", summary="Refused: groups own the slots",
             usage="slot <IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE>"),
    _cluster("cluster|shards", 2, "stale", since="7.0.0", summary="The slots and the nodes that serve them",
             complexity="O(N)", tips=_VARIES),
    _cluster("cluster|slaves", 3, "admin stale", since="3.0.0", summary="The replicas of a master",
             usage="node-id", tips=_VARIES),
    _cluster("cluster|slots", 2, "stale", since="3.0.0", summary="The slots and the nodes that serve them",
             complexity="O(N)", tips=_VARIES),
)  # fmt: skip

CLUSTER: tuple[Command, ...] = (
    _cluster("asking", 1, "fast", since="3.0.0", summary="Accepted: nobody is redirected by ASK"),
    _cluster("cluster", -2, since="3.0.0", summary="The cluster's state",
             complexity="Depends on the subcommand", subcommands=_CLUSTER, handler=whole.cluster),
    _cluster("readonly", 1, "loading stale fast", since="3.0.0",
             summary="Let replicas answer this connection's reads"),
    _cluster("readwrite", 1, "loading stale fast", since="3.0.0",
             summary="Let only leaders answer this connection"),
)  # fmt: skip
