"""A node without Raft: real commands on real keyspaces, answered at once or when a test says so."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from redraft.base.config import Config
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Keyspace
from redraft.control.applier import decode_requests
from redraft.control.slotmoves import MoveRecord
from redraft.control.topology import TOPOLOGY_GROUP, Command, Refused, decode_command
from redraft.engine.hash import HashEngine
from redraft.node.heartbeat import Contact
from redraft.node.seams import Clients, NoClients
from redraft.replica.request import Request
from redraft.topology.cluster_map import ClusterMap, Group, Member, first_map
from redraft.transport.messages import Published

NOW_UNIX_MS = 1_700_000_000_000


THREE = tuple(Member(n, f"{n:040x}", "127.0.0.1", 6378 + n, 7378 + n, 8378 + n, 16378 + n) for n in (1, 2, 3))


def keyspaces(cluster: ClusterMap) -> dict[int, Context]:
    """An empty keyspace for each group; several nodes may share them."""
    engine = HashEngine()
    return {
        group.group_id: Context(
            Keyspace(engine, [slot for first, last in group.slots for slot in range(first, last + 1)])
        )
        for group in cluster.groups
    }


class Told:
    """What was published for other nodes; given to `others` at once."""

    def __init__(self) -> None:
        self.messages: list[Published] = []
        self.others: list[FakeNode] = []
        self.missed = 0

    def tell(self, message: Published) -> None:
        self.messages.append(message)
        for node in self.others:
            node.clients.published(message)


class FakeNode:
    """Node `node_id` of `members`, leading the groups that `led_by` gives it (default: all).

    With `held` set, requests wait in `waiting` until `release`.
    """

    def __init__(
        self,
        *,
        groups: int = 3,
        node_id: int = 1,
        members: Sequence[Member] = THREE,
        contexts: dict[int, Context] | None = None,
        **settings: Any,
    ) -> None:
        self.config = Config(**settings)
        self.map: ClusterMap = first_map("c", members, groups=groups, replication_factor=3)
        self.node_id = node_id
        self.group_of_slot: Sequence[int] = self.map.group_of_slot
        self.led_by = {group.group_id: 1 for group in self.map.groups}
        self.overloaded = False
        self.clients: Clients = NoClients()
        self.publishing = Told()
        self.disk_error: OSError | None = None
        self.moves: tuple[MoveRecord, ...] = ()
        self.held = False
        self.waiting: deque[Request] = deque()
        self.submitted: list[tuple[int, bytes, int, bool]] | None = None
        self.clock_ms = 1000.0
        self.contexts = contexts if contexts is not None else keyspaces(self.map)
        self.silent_ms: dict[int, float] = {}  # peers that don't answer
        self.refusal: Refused | None = None
        self.topology_commands: list[Command] = []

    @property
    def cluster(self) -> ClusterMap:
        return self.map

    @property
    def heartbeat(self) -> FakeNode:
        return self

    def contact(self, peer: int) -> Contact:
        if peer not in self.silent_ms:
            return Contact(5000.0, 50.0, 0, True)
        return Contact(0.0, self.silent_ms[peer], 0, False)

    @property
    def controller(self) -> FakeNode:
        return self

    @property
    def members(self) -> Sequence[Member]:
        return self.map.members

    @property
    def groups(self) -> Sequence[Group]:
        return self.map.groups

    def objection(self, _command: Command) -> Refused | None:
        return self.refusal

    def submit(self, request: Request) -> None:
        request.submitted_ms = self.clock_ms
        if self.submitted is not None:
            self.submitted.append((request.group, request.data, request.count, request.write))
        if self.held:
            self.waiting.append(request)
        else:
            self.carry_out(request)

    def carry_out(self, request: Request) -> None:
        if request.group == TOPOLOGY_GROUP:
            self.topology_commands += map(decode_command, decode_requests(request.data))
            request.complete([b":7\r\n"])
            return
        context = self.contexts[request.group]
        context.keyspace.index += request.write
        context.begin(now_ms=NOW_UNIX_MS, write=request.write)
        request.complete(execute_batch(context, request.data, [(request.count, request.proto)]))

    def release(self, count: int | None = None, *, last_first: bool = False) -> None:
        """Carry out waiting requests; with `last_first` in the wrong order, as groups may."""
        for _ in range(len(self.waiting) if count is None else count):
            self.carry_out(self.waiting.pop() if last_first else self.waiting.popleft())

    @property
    def leaders_version(self) -> int:
        return hash(tuple(sorted(self.led_by.items())))

    def leader_of(self, group: int) -> int:
        return self.led_by[group]

    def save_topology(self) -> None:
        if self.disk_error is not None:
            raise self.disk_error

    def reconfigure(self, config: Config) -> None:
        self.config = config

    def set_config(self, **changes: Any) -> None:
        self.config = dataclasses.replace(self.config, **changes)

    def now_ms(self) -> float:
        return self.clock_ms

    def status(self) -> dict[str, Any]:
        return {"node": self.node_id, "groups": []}

    def info(self) -> Mapping[str, Mapping[str, object]]:
        keyspaces = [context.keyspace for context in self.contexts.values()]
        return {
            "memory": {"used_memory": sum(keyspace.used_bytes for keyspace in keyspaces)},
            "keyspace": {"keys": sum(keyspace.key_count for keyspace in keyspaces), "expires": 0},
            "raft": {"raft_groups": len(self.map.groups)},
        }
