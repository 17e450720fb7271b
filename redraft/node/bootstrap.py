"""How listed nodes become a cluster, once, and who belongs to it from then on.

The first configuration is the (address, node id) of every listed node, so each is needed once.  A
node goes through three stages, each on disk before the others hear of it:

    NEW       it has met fewer than all listed nodes
    PROMISED  it has met all, and so knows the first configuration; it will never know another
    FORMED    it knows that all have promised the same (or that one other node knew it): it may vote

Why two steps: a node that voted as soon as it had met all could lose its disk, come back as another
node, and found a second cluster with those that had not met it before; two of three with empty logs
would then outvote what the first cluster had acknowledged.  No node forms before all have promised,
and a promise is kept for ever, so at most one configuration of these nodes ever forms.

The cluster's id is a hash of the first configuration, and its node ids are 1..n in the order of
addresses: every node finds the same without asking.  A node that joins later is FORMED in one step, when
the cluster has admitted it (`joining`).  Who belongs to the cluster from then on says the `roster`.

Decides only, and keeps its decisions in the data directory; `founding` carries them out.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from redraft import __version__
from redraft.base.address import Address
from redraft.base.errors import DirectoryError
from redraft.control.topology import Topology, founding_topology
from redraft.node.identity import DataDirectory, Identity, MemberRecord
from redraft.node.roster import Roster
from redraft.topology.cluster_map import Member, first_map
from redraft.transport.handshake import Card, Kind, Purpose, Refusal, Stage

log = logging.getLogger("redraft.node")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The first configuration; `node_id` is this node's, the settings are the founding ones."""

    cluster_id: str
    node_id: int
    members: tuple[Member, ...]
    groups: int
    replication_factor: int

    @property
    def topology(self) -> Topology:
        """What the topology group starts from, the same on every node."""
        first = first_map(
            self.cluster_id,
            self.members,
            groups=self.groups,
            replication_factor=self.replication_factor,
        )
        return founding_topology(first, self.replication_factor)


class Charter(msgspec.Struct, frozen=True):
    """What a new member is told: its cluster's first configuration, and the topology of the moment."""

    cluster_id: str
    founders: tuple[MemberRecord, ...]
    groups: int
    replication_factor: int
    topology: Topology


class Bootstrap:
    """One node's way into its cluster, and its judgement of others."""

    def __init__(
        self,
        directory: DataDirectory,
        *,
        own: Address,
        primary_port: int,
        replica_port: int,
        cluster: Sequence[Address],
        groups: int,
        replication_factor: int,
        joins: bool = False,
    ) -> None:
        """Raises DirectoryError when the directory is another node's or another cluster's.

        A new node that `joins` founds nothing: it waits to be `admitted`.
        """
        self._directory = directory
        self._own = own
        self._peer_ports = {address.client: address.peer_port for address in cluster}
        self._primary_port = primary_port
        self._replica_port = replica_port
        self._listed = tuple(sorted(cluster, key=lambda each: (each.host, each.port)))
        self._groups = groups
        self._replication_factor = replication_factor
        self._joins = joins
        self._cards: dict[str, Card] = {}  # by address, while new
        self._promised: set[str] = set()  # addresses known to have promised what this node promised
        self._incarnations: dict[str, int] = {}  # the highest met, by node id
        self._roster: Roster | None = None
        assert own.client in self._peer_ports, "the configuration lists the node itself"
        if self.stage != Stage.NEW:
            self._check_directory()
            self._refresh(self.card())
        self._advance()

    # ---- what is decided already ----

    @property
    def stage(self) -> Stage:
        """How far this node has come."""
        return Stage(self._directory.identity.stage)

    @property
    def formed(self) -> bool:
        """Whether the cluster exists, for all this node knows: it may vote."""
        return self.stage == Stage.FORMED

    @property
    def first_start(self) -> bool:
        """Whether this is the node's first start ever, so that it can't have voted before."""
        return self._directory.identity.incarnation == 1

    @property
    def joins(self) -> bool:
        """Whether this is a new node that has to be admitted by a cluster that exists."""
        return self._joins and self.stage == Stage.NEW

    @property
    def others(self) -> tuple[Address, ...]:
        """The listed nodes but this one."""
        return tuple(address for address in self._listed if address.client != self._own.client)

    @property
    def configuration(self) -> Configuration:
        """The first configuration; only once the stage is FORMED."""
        identity = self._directory.identity
        assert identity.stage == Stage.FORMED, "there is no cluster yet"
        return configuration_of(identity)

    @property
    def roster(self) -> Roster:
        """Who belongs to the cluster; only once there is (or will be) one."""
        if self._roster is None:
            assert self.stage != Stage.NEW, "there is no cluster yet"
            self._roster = roster_of(self._directory)
        return self._roster

    def card(self) -> Card:
        """What this node shows to others at this moment."""
        identity = self._directory.identity
        return Card(
            hex_id=identity.hex_id,
            incarnation=identity.incarnation,
            host=self._own.host,
            client_port=self._own.port,
            primary_port=self._primary_port,
            replica_port=self._replica_port,
            peer_port=self._peer_ports[self._own.client],
            node_id=_node_id(self._directory.identity),
            stage=self.stage,
            cluster_id=identity.cluster_id,
            founding=self._founding,
            software=__version__,
        )

    @property
    def _founding(self) -> str:
        names = ",".join(address.client for address in self._listed)
        return f"{names} with {self._groups} groups and replication factor {self._replication_factor}"

    # ---- others ----

    def judge(self, card: Card, purpose: Purpose) -> Refusal | None:
        """Say why this node, which knows the secret, is refused all the same; None: it is not."""
        if card.hex_id == self._directory.identity.hex_id:
            return Refusal(
                Kind.IDENTITY,
                f"{self._own.client} and {card.address} are the same node, or one's data directory is a copy "
                "of the other's: give each node one address and a directory of its own.",
            )
        if card.incarnation < self._incarnations.get(card.hex_id, 0):
            return Refusal(
                Kind.IDENTITY,
                f"The data directory of {card.address} was set back to an older copy, which may have "
                "forgotten votes: empty it, and join the node as a new one with --join.",
            )
        if purpose == Purpose.JOIN or self.joins:
            return self._judge_joining(card)
        if self.stage == Stage.NEW:
            return self._judge_founder(card)
        if self.formed and self.roster.was_new(card):
            return Refusal(
                Kind.IDENTITY,
                f"The data directory of {card.address} was set back to before the cluster was founded: "
                "empty it, and join the node as a new one with --join.",
            )
        return self.roster.judge(card, purpose)

    def members(self) -> list[Member]:
        """All nodes there should be links with, this one included."""
        return self.roster.members()

    def met(self, card: Card) -> bool:
        """Learn from the card of a node that was accepted; True when anything is other than before."""
        before = self.stage
        self._incarnations[card.hex_id] = card.incarnation
        if before == Stage.NEW:
            self._cards[card.address] = card
        self._learn(card)
        self._advance()
        self._refresh(card)
        news = self.stage != Stage.NEW and self.roster.met(card)
        return news or self.stage != before

    def admitted(self, charter: Charter, node_id: int) -> None:
        """The cluster has made this node a member: what it has to know is on disk when this returns."""
        assert self.joins
        self._directory.save_topology(charter.topology)
        self._directory.save(
            msgspec.structs.replace(
                self._directory.identity,
                stage=Stage.FORMED.value,
                cluster_id=charter.cluster_id,
                groups=charter.groups,
                replication_factor=charter.replication_factor,
                address=self._own.client,
                members=charter.founders,
                node_id=node_id,
            )
        )

    def charter(self, topology: Topology) -> Charter:
        """What a node has to know that this topology has as a member."""
        identity = self._directory.identity
        return Charter(
            identity.cluster_id, identity.members, identity.groups, identity.replication_factor, topology
        )

    def _judge_joining(self, card: Card) -> Refusal | None:
        """Of a node that joins and the member it asks, each judges the other."""
        member, new = (card.stage, self.stage) if self.joins else (self.stage, card.stage)
        if member != Stage.FORMED:
            return Refusal(Kind.NOT_READY, "There is no cluster yet that could be joined.")
        if new != Stage.NEW:
            return Refusal(
                Kind.CLUSTER,
                f"{card.address} belongs to a cluster already: a node joins when it is new.",
            )
        return None

    def _judge_founder(self, card: Card) -> Refusal | None:
        if card.founding != self._founding:
            return Refusal(
                Kind.SETTINGS,
                f"{self._own.client} was started for {self._founding}, {card.address} for {card.founding}: "
                "start every node with the same --cluster, --groups and --replication-factor.",
            )
        if card.address not in self._peer_ports:
            return Refusal(
                Kind.SETTINGS,
                f"{card.address} is not in --cluster of {self._own.client}: add it on every node.",
            )
        return None

    # ---- the stages ----

    def _learn(self, card: Card) -> None:
        identity = self._directory.identity
        if identity.stage != Stage.PROMISED or card.cluster_id != identity.cluster_id:
            return
        if card.stage == Stage.FORMED:
            self._promised.update(address.client for address in self.others)
        elif card.stage == Stage.PROMISED:
            self._promised.add(card.address)

    def _advance(self) -> None:
        """Take every step that is possible now."""
        if self.joins:
            return
        if self.stage == Stage.NEW and all(each.client in self._cards for each in self.others):
            self._promise()
            for card in self._cards.values():
                self._learn(card)
        if self.stage == Stage.PROMISED and all(each.client in self._promised for each in self.others):
            self._directory.save(msgspec.structs.replace(self._directory.identity, stage=Stage.FORMED.value))

    def _promise(self) -> None:
        cards = {**self._cards, self._own.client: self.card()}
        members = tuple(
            MemberRecord(
                number,
                cards[address.client].hex_id,
                address.host,
                address.port,
                cards[address.client].primary_port,
                cards[address.client].replica_port,
                address.peer_port,
            )
            for number, address in enumerate(self._listed, start=1)
        )
        cluster_id = _cluster_id(members, self._groups, self._replication_factor)
        for card in self._cards.values():
            if card.cluster_id not in {"", cluster_id}:
                log.error(
                    "%s has promised itself to other nodes than are there now: one was wiped while the "
                    "cluster was founded. Empty every node's data directory and start again.",
                    card.address,
                )
                return
        self._directory.save(
            msgspec.structs.replace(
                self._directory.identity,
                stage=Stage.PROMISED.value,
                cluster_id=cluster_id,
                groups=self._groups,
                replication_factor=self._replication_factor,
                address=self._own.client,
                members=members,
            )
        )

    def _check_directory(self) -> None:
        identity = self._directory.identity
        path = self._directory.path
        if identity.address != self._own.client:
            raise DirectoryError(
                f"Data directory {path} belongs to node {identity.address}, this is {self._own.client}: "
                "choose this node's own directory with --dir."
            )
        if not any(each.hex_id == identity.hex_id for each in identity.members):
            return  # it joined: what it was started with says nothing of its cluster
        names = sorted(_client(each) for each in identity.members)
        if names != sorted(self._peer_ports):
            raise DirectoryError(
                f"Data directory {path} belongs to the cluster of {', '.join(names)}, --cluster lists "
                f"{', '.join(sorted(self._peer_ports))}: correct --cluster, or choose another directory."
            )
        founding = (identity.groups, identity.replication_factor)
        if founding != (self._groups, self._replication_factor):
            log.warning(
                "the cluster was founded with %d groups and replication factor %d, and keeps them", *founding
            )
            self._groups, self._replication_factor = founding

    def _refresh(self, card: Card) -> None:
        """Keep a member's ports as it says they are now; they are no part of who it is."""
        identity = self._directory.identity
        members = tuple(
            msgspec.structs.replace(
                each,
                primary_port=card.primary_port,
                replica_port=card.replica_port,
                peer_port=card.peer_port,
            )
            if each.hex_id == card.hex_id
            else each
            for each in identity.members
        )
        if members != identity.members:
            self._directory.save(msgspec.structs.replace(identity, members=members))


def _client(member: MemberRecord) -> str:
    return Address(member.host, member.client_port).client


def _cluster_id(members: Sequence[MemberRecord], groups: int, replication_factor: int) -> str:
    lines = [f"redraft cluster, {groups} groups, replication factor {replication_factor}"]
    lines += [f"{each.node_id} {_client(each)} {each.hex_id}" for each in members]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:40]


def configuration_of(identity: Identity) -> Configuration:
    """The first configuration that an identity has, once it is promised."""
    members = tuple(
        Member(
            each.node_id,
            each.hex_id,
            each.host,
            each.client_port,
            each.primary_port,
            each.replica_port,
            each.peer_port,
        )
        for each in identity.members
    )
    return Configuration(
        identity.cluster_id, _node_id(identity), members, identity.groups, identity.replication_factor
    )


def roster_of(directory: DataDirectory) -> Roster:
    """Who belongs to the cluster, by what a data directory remembers."""
    first = configuration_of(directory.identity)
    roster = Roster(first.cluster_id, directory.identity.address, first.topology, first.members)
    known = directory.topology
    if known is not None:
        roster.update(known)
    return roster


def _node_id(identity: Identity) -> int:
    founder = next((each.node_id for each in identity.members if each.hex_id == identity.hex_id), 0)
    return founder or identity.node_id
