"""What is made of all groups for clients: the replies to CLUSTER SLOTS and SHARDS, and who leads and follows.

`SlotsPage` and `ShardsPage` keep the bytes of each group's part and of each node's within it, so a change
costs what has changed and one join.  `Overview` is made anew each time: it is sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from redraft.server.encode import Encoded, Value, encode
from redraft.server.shown import replica_id
from redraft.server.survey import Page, Sighting, View
from redraft.topology.cluster_map import Member


class _Piece(NamedTuple):
    """A group's part of a reply, and what it was made of; so many `elements` of its array."""

    sighting: Sighting
    elements: int
    data: bytes


class _Pieces(Page[Encoded]):
    """A reply that is an array with the same for each group."""

    def __init__(self, proto: int) -> None:
        super().__init__(proto)
        self.pieces: dict[int, _Piece] = {}
        """What is kept of each group for the next time."""
        self._order: list[int] = []
        self._members: dict[int, Member] = {}
        self._changed: frozenset[int] = frozenset()
        self._as_leader: dict[int, bytes] = {}
        self._as_replica: dict[int, bytes] = {}
        self._answering: frozenset[int] = frozenset()
        self._failed: frozenset[int] = frozenset()

    def begin(self, view: View) -> None:
        """See `Page.begin`: the nodes of which something else is shown than before."""
        members = {member.node_id: member for member in view.cluster.members}
        others = {
            each for each in members.keys() | self._members if members.get(each) != self._members.get(each)
        }
        self._changed = self._answering ^ view.answering | self._failed ^ view.failed | others
        self._members, self._answering, self._failed = members, view.answering, view.failed
        for node_id in self._changed:
            self._as_leader.pop(node_id, None)
            if node_id not in members:
                continue
            self._as_leader[node_id] = encode(self._node(members[node_id], leads=True), self.proto)
            self._as_replica[node_id] = encode(self._node(members[node_id], leads=False), self.proto)
        self._order = []

    def take(self, sightings: Sequence[Sighting]) -> None:
        """See `Page.take`."""
        pieces, changed = self.pieces, self._changed
        for sighting in sightings:
            group = sighting.group
            self._order.append(group.group_id)
            piece = pieces.get(group.group_id)
            if (
                piece is None
                or piece.sighting != sighting
                or not changed.isdisjoint((sighting.leader, *group.voters))
            ):
                pieces[group.group_id] = self._piece(sighting)

    def finish(self) -> Encoded:
        """See `Page.finish`; pieces of groups that are gone are let go."""
        if len(self.pieces) > len(self._order):
            self.pieces = {number: self.pieces[number] for number in self._order}
        made = [self.pieces[number] for number in self._order]
        return Encoded(
            b"".join([b"*%d\r\n" % sum([piece.elements for piece in made]), *[p.data for p in made]])
        )

    def _followers(self, sighting: Sighting) -> list[int]:
        """The members that have a replica of a group and do not lead it."""
        return [
            each
            for each in sorted(sighting.group.voters)
            if each != sighting.leader and each in self._members
        ]

    def _node(self, member: Member, *, leads: bool) -> Value:
        raise NotImplementedError

    def _piece(self, sighting: Sighting) -> _Piece:
        raise NotImplementedError


class SlotsPage(_Pieces):
    """CLUSTER SLOTS, without replicas that do not answer; a leader stays until there is another one."""

    def _node(self, member: Member, *, leads: bool) -> Value:
        where = member.shown
        if leads:
            return [where.host, where.primary_port, member.hex_id, {}]
        return [where.host, where.replica_port, replica_id(member), {}]

    def _piece(self, sighting: Sighting) -> _Piece:
        leader = self._as_leader.get(sighting.acting)
        if leader is None:
            return _Piece(sighting, 0, b"")
        nodes = [leader]
        nodes += [self._as_replica[each] for each in self._followers(sighting) if each in self._answering]
        told, ranges = b"".join(nodes), sighting.group.slots
        begun = b"*%d\r\n" % (2 + len(nodes))
        return _Piece(
            sighting,
            len(ranges),
            b"".join([b"%b:%d\r\n:%d\r\n%b" % (begun, first, last, told) for first, last in ranges]),
        )


class ShardsPage(_Pieces):
    """CLUSTER SHARDS: a shard for each group."""

    def _node(self, member: Member, *, leads: bool) -> Value:
        where = member.shown
        return {
            "id": member.hex_id if leads else replica_id(member),
            "port": where.primary_port if leads else where.replica_port,
            "ip": where.host,
            "endpoint": where.host,
            "role": "master" if leads else "replica",
            "replication-offset": 0,
            "health": "fail" if member.node_id in self._failed else "online",
        }

    def _piece(self, sighting: Sighting) -> _Piece:
        leader = self._as_leader.get(sighting.acting)
        nodes = [leader] if leader is not None else []
        nodes += [self._as_replica[each] for each in self._followers(sighting)]
        ranges = sighting.group.slots
        slots = b"".join([b":%d\r\n:%d\r\n" % pair for pair in ranges])
        begun = b"%2" if self.proto == 3 else b"*4"
        return _Piece(
            sighting,
            1,
            b"%b\r\n$5\r\nslots\r\n*%d\r\n%b$5\r\nnodes\r\n*%d\r\n%b"
            % (begun, 2 * len(ranges), slots, len(nodes), b"".join(nodes)),
        )


class Overview:
    """Who leads and who follows, summed up."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.slots: defaultdict[int, list[str]] = defaultdict(list)
        """The ranges of slots for which clients are sent to each node."""
        self.followers: defaultdict[int, set[int]] = defaultdict(set)
        """Who has replicas of those groups besides it."""
        self.followed: defaultdict[int, set[int]] = defaultdict(set)
        """To whom clients are sent for the groups that each node has replicas of, itself left out."""
        self.sizes: defaultdict[int, int] = defaultdict(int)
        """How many slots each node leads; 0: those whose leader was never known."""
        self.texts: dict[object, tuple[float, Encoded]] = {}
        """What was made of this, and when, for those who ask in the same moment."""

    def add(self, sighting: Sighting) -> None:
        """Take up a group."""
        group, leader, acting = sighting
        self.sizes[leader] += sum([last - first + 1 for first, last in group.slots])
        if not acting:
            return
        self.slots[acting] += [_range(*pair) for pair in group.slots]
        followers = self.followers[acting]
        for voter in group.voters:
            if voter != acting:
                followers.add(voter)
                self.followed[voter].add(acting)


class OverviewPage(Page[Overview]):
    """See `Overview`."""

    of_proto = False

    def __init__(self, proto: int) -> None:
        super().__init__(proto)
        self._made: Overview | None = None

    def begin(self, view: View) -> None:
        """See `Page.begin`."""
        self._made = Overview(view)

    def take(self, sightings: Sequence[Sighting]) -> None:
        """See `Page.take`."""
        assert self._made is not None
        for sighting in sightings:
            self._made.add(sighting)

    def finish(self) -> Overview:
        """See `Page.finish`."""
        assert self._made is not None
        return self._made


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
