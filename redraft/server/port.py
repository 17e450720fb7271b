"""The three ports of a node: what each shows, which slots it serves, where it sends the rest.

    client   one big Redis: every slot, no redirections; keys of one command in one group
    primary  Redis Cluster, the slots this node leads; others are MOVED to their leader's primary port
    replica  Redis Cluster, READONLY reads of the slots this node follows; else MOVED likewise

A port has its own scanner, whose table of groups has what is plain here: on the primary port the
groups led, on the replica port none.  Connections that said READONLY have another one there, whose
table has the groups followed; what it finds is for reads only.  The tables follow what the node
knows with a short delay; that is harmless, as any group can be asked by way of any node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redraft.accel.scan import NO_KEY, SEVERAL, Scanner
from redraft.server import words
from redraft.server.limits import ARGUMENTS_MAX, COMMANDS_PER_SCAN

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from redraft.server.leaders import Leaders


class Wanted(NamedTuple):
    """What the scan says of a command's keys, whether it writes, whether its connection said READONLY."""

    slot: int
    group: int
    write: bool
    readonly: bool


class Port:
    """What the ports have in common; `name` is for people."""

    name = ""
    cluster_enabled = True
    divides = False
    role = "master"

    def __init__(self, leaders: Leaders, bulk_max: int) -> None:
        self.leaders = leaders
        self.scanner = self.reader = self._new_scanner(bulk_max)
        self._plain: frozenset[int] = frozenset()  # what the scanner's table was made of
        self._groups: Sequence[int] = ()
        self.refresh()

    def _new_scanner(self, bulk_max: int) -> Scanner:
        return Scanner(bulk_max, ARGUMENTS_MAX, COMMANDS_PER_SCAN, one_slot=self.cluster_enabled)

    def limit_bulk(self, bulk_max: int) -> None:
        """Let arguments be so long from now on."""
        self.scanner.bulk_max = self.reader.bulk_max = bulk_max

    @property
    def slot_map(self) -> Sequence[int]:
        """The group of each slot, as the scanner knows it; another object once slots have moved."""
        return self._groups

    def plain(self) -> Collection[int]:
        """The groups whose commands need no thought on this port."""
        raise NotImplementedError

    def scope(self) -> Collection[int]:
        """The groups whose slots are "the keyspace" to clients of this port, in order."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Put what the node knows now into the scanner's table."""
        plain, groups = frozenset(self.plain()), self.leaders.group_of_slot
        if plain != self._plain or groups is not self._groups:
            self._plain, self._groups = plain, groups
            self.scanner.set_groups(self.leaders.owners(plain))

    def route(self, wanted: Wanted) -> int | bytes:
        """Return the group that a command of these keys goes to, or the error that says why none."""
        raise NotImplementedError

    def _moved(self, slot: int) -> int | bytes:
        """The group itself while it has no leader: the request waits, as it would elsewhere."""
        owner = self.leaders.group_of_slot[slot]
        if not owner:
            return words.SLOT_UNSERVED
        leader = self.leaders.of(owner)
        if leader is None or (self.role == "master" and self.leaders.is_electing(owner)):
            return owner
        return words.moved(slot, f"{leader.shown.host}:{leader.shown.primary_port}")


class ClientPort(Port):
    """The cluster as one big Redis."""

    name = "client"
    cluster_enabled = False
    divides = True

    def plain(self) -> Collection[int]:
        return self.leaders.all_groups

    def scope(self) -> Collection[int]:
        return self.leaders.all_groups

    def route(self, wanted: Wanted) -> int | bytes:
        if wanted.group == SEVERAL:
            return words.CROSSSLOT
        if wanted.group == NO_KEY:
            return next(iter(self.leaders.all_groups))
        return wanted.group or words.SLOT_UNSERVED


class PrimaryPort(Port):
    """The slots this node leads."""

    name = "primary"

    def plain(self) -> Collection[int]:
        return self.leaders.led

    def scope(self) -> Collection[int]:
        return self.leaders.led

    def route(self, wanted: Wanted) -> int | bytes:
        if wanted.slot == SEVERAL:
            return words.CROSSSLOT
        if wanted.slot == NO_KEY:
            return next(iter(self.leaders.all_groups))
        owner = self.leaders.group_of_slot[wanted.slot]
        return owner if owner and self.leaders.leads(owner) else self._moved(wanted.slot)


class ReplicaPort(Port):
    """The slots this node follows, for reading."""

    name = "replica"
    role = "slave"

    def __init__(self, leaders: Leaders, bulk_max: int) -> None:
        super().__init__(leaders, bulk_max)
        self.reader = self._new_scanner(bulk_max)
        self._read: frozenset[int] = frozenset()  # what the reader's table was made of
        self._read_groups: Sequence[int] = ()
        self.refresh()

    def refresh(self) -> None:
        super().refresh()
        followed, groups = frozenset(self.leaders.followed), self.leaders.group_of_slot
        if self.reader is not self.scanner and (followed != self._read or groups is not self._read_groups):
            self._read, self._read_groups = followed, groups
            self.reader.set_groups(self.leaders.owners(followed))

    def plain(self) -> Collection[int]:
        return ()

    def scope(self) -> Collection[int]:
        return self.leaders.followed

    def route(self, wanted: Wanted) -> int | bytes:
        if wanted.slot == SEVERAL:
            return words.CROSSSLOT
        if wanted.slot == NO_KEY:
            return next(iter(self.leaders.all_groups))
        owner = self.leaders.group_of_slot[wanted.slot]
        if wanted.readonly and not wanted.write and owner in self.leaders.followed:
            return owner
        return self._moved(wanted.slot)
