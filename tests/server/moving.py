"""A fake node whose groups freeze slots and hand them over, and refuse what they do not serve.

The groups share an engine, so that a slot's keys are at its new owner at once.  Who serves a slot changes
before the node's map does (`hand_over`, then `show`), as it may be in a cluster.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from redraft.accel.scan import scan_args
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.reply import REFUSED
from redraft.commands.slotted import slots_of
from redraft.replica.request import Request, deliver
from redraft.server.again import commands_of
from redraft.server.encode import encode_request
from redraft.server.queueing import split_request
from redraft.topology.cluster_map import Group
from redraft.topology.slots import owner_table, parse_ranges, ranges_of
from tests.server.fakenode import NOW_UNIX_MS, FakeNode


class MovingNode(FakeNode):
    """`owners` is the truth, `group_of_slot` what the node knows of it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.owners = list(self.group_of_slot)
        self.frozen: set[int] = set()
        self.executed: list[tuple[int, list[bytes]]] = []
        self.refusals = 0
        for group, context in self.contexts.items():
            context.keyspace.collections_made = group << 32  # they share an engine

    # ---- moving ----

    def hand_over(self, slots: Iterable[int], target: int) -> None:
        """The target serves the slots from now on, the group that had them no more."""
        moved = sorted(slots)
        keyspace = self.contexts[target].keyspace
        keyspace.index += 1
        modified = keyspace.open_modified()
        for slot in moved:
            source = self.contexts[self.owners[slot]].keyspace
            source.key_count -= keyspace.engine.slot_size(slot)
            keyspace.key_count += keyspace.engine.slot_size(slot)
            modified[slot] = keyspace.index
            self.owners[slot] = target
        self.frozen.difference_update(moved)
        for group, context in self.contexts.items():
            context.keyspace.slots = self._slots(group)

    def show(self) -> None:
        """The node learns who has which slots."""
        groups = [
            Group(group.group_id, tuple(ranges_of(self._slots(group.group_id))), group.voters)
            for group in self.map.groups
        ]
        table = owner_table([(group.group_id, group.slots) for group in groups])
        self.map = dataclasses.replace(self.map, groups=tuple(groups), group_of_slot=table)
        self.group_of_slot = table
        self.clients.map_changed()

    def move(self, slots: Iterable[int], target: int) -> None:
        """Hand over and show."""
        self.hand_over(slots, target)
        self.show()

    def _slots(self, group: int) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners) if owner == group]

    # ---- carrying out ----

    def carry_out(self, request: Request) -> None:
        if request.group not in self.contexts:
            super().carry_out(request)
            return
        replies: list[bytes] = []
        for command in commands_of(request.data):
            refused = bool(replies) and replies[-1] == REFUSED
            replies.append(REFUSED if refused else self._carry_out(request, command))
        self.refusals += replies.count(REFUSED)
        deliver((request,), replies, self.clients.refused)

    def _carry_out(self, request: Request, command: bytes) -> bytes:
        group, args = request.group, split_request(command)
        (number, slot, _), _ = scan_args(command)
        if any(self.owners[each] != group or each in self.frozen for each in slots_of(number, slot, args)):
            return REFUSED
        self.executed.append((group, args))
        context = self.contexts[group]
        context.keyspace.index += request.write
        if args[0] == b"REDRAFT" and args[1] == b"SLOTS":
            return self._for_slots(context, args, request)
        context.begin(now_ms=NOW_UNIX_MS, write=request.write)
        return execute_batch(context, command, [(1, request.proto)])[0]

    def _for_slots(self, context: Context, args: list[bytes], request: Request) -> bytes:
        """Carry the command out with the keyspace made that of just these slots."""
        keyspace = context.keyspace
        owned, count = keyspace.slots, keyspace.key_count
        keyspace.slots = [each for first, last in parse_ranges(args[2]) for each in range(first, last + 1)]
        inside = keyspace.key_count = sum(map(keyspace.engine.slot_size, keyspace.slots))
        context.begin(now_ms=NOW_UNIX_MS, write=request.write)
        reply = execute_batch(context, encode_request(args[3:]), [(1, request.proto)])[0]
        keyspace.slots, keyspace.key_count = owned, count - inside + keyspace.key_count
        return reply
