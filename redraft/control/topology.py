"""The state machine of the topology group: members, groups, and where each group's replicas should stand.

`apply` is a pure function of (topology, command, index of its entry): every node that applied the same
entries has the same topology, and `encode` of it is the group's snapshot.  A topology is immutable.

Invariants:
- A node's id is given once and never again, so an id below `next_node_id` that is no member's was removed.
- `voters` of a group is its *placement*: the wanted voters, the preferred leader first; never empty, never a
  node that leaves.  What Raft's configuration is at a moment is the group's own business (`reconcile`).
- `settled` of a group is the newest `placed` that its committed configuration was equal to; at or above
  `placed` it says: nobody else has a part in the group any more.
- A node leaves the members only once every group has settled without it.
- A group's id, too, is given once and never again: all below `next_group_id` have been.

Must not know: Raft, clocks, who is alive, who asks.  What can't be decided from the topology alone (is a
majority alive?) is asked before a command is proposed (`redraft.control.admission`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from redraft.base.announced import NOTHING, Announced
from redraft.base.limits import NODES_MAX
from redraft.control.groups import (
    CreateGroup,
    DropGroup,
    ForgetGroup,
    GroupCommand,
    Groups,
    MergeGroups,
    SplitGroup,
    apply_groups,
    begun_anew,
)
from redraft.control.placing import fill, founders, replaced
from redraft.control.slotmoves import (
    FOUNDING_EPOCH,
    CancelMove,
    EndMove,
    GroupRecord,
    MoveCommand,
    Moved,
    MoveRecord,
    MoveSlots,
    apply_move,
    no_such_group,
)
from redraft.topology.cluster_map import ClusterMap

FORMAT: Final = 1
TOPOLOGY_GROUP: Final = 0
TOPOLOGY_VOTERS_MAX: Final = 5
"""More voters make every change slower and survive no likelier failure; all other nodes are learners."""
VOTERS_MAX: Final = 7


class NodeRecord(msgspec.Struct, frozen=True):
    """A member; its other ports are 0 until it has announced them.

    `leaving`: it is being removed.  `draining`: it stays a member, and is to hold no replica if there are
    others that can (`redraft.control.policy` sees to it).
    """

    node_id: int
    hex_id: str
    host: str
    client_port: int
    primary_port: int = 0
    replica_port: int = 0
    peer_port: int = 0
    leaving: bool = False
    announced: Announced = NOTHING
    draining: bool = False

    @property
    def address(self) -> str:
        """The client address, HOST:PORT, by which people know the node."""
        return f"[{self.host}]:{self.client_port}" if ":" in self.host else f"{self.host}:{self.client_port}"


class Topology(msgspec.Struct, frozen=True):
    """Everything the topology group knows; `epoch` is the index of the last entry that changed it."""

    format: int
    epoch: int
    next_node_id: int
    replication_factor: int
    nodes: tuple[NodeRecord, ...]
    groups: tuple[GroupRecord, ...]
    moves: tuple[MoveRecord, ...] = ()
    next_group_id: int = 0
    """0 only as written by a version that could make no groups: see `decode`."""
    next_move_id: int = 0
    """Above the ids of all moves so far: an entry may begin several."""

    def node(self, node_id: int) -> NodeRecord | None:
        """The member of that id, None when there is none."""
        return next((node for node in self.nodes if node.node_id == node_id), None)

    def group(self, group_id: int) -> GroupRecord | None:
        """The group of that id, None when there is none."""
        return next((group for group in self.groups if group.group_id == group_id), None)

    def move(self, move_id: int) -> MoveRecord | None:
        """The move of that id, None when there is none."""
        return next((move for move in self.moves if move.move_id == move_id), None)

    def was_removed(self, node_id: int) -> bool:
        """Whether that id was a member's and will never be one's again."""
        return 0 < node_id < self.next_node_id and self.node(node_id) is None


# ---- commands: what an entry asks for; names as in the operator's words ----


class Join(msgspec.Struct, frozen=True, tag="join"):
    """Make a new node a member; asked again by the same node, it says the same.  Answer: the node's id."""

    hex_id: str
    host: str
    client_port: int
    primary_port: int
    replica_port: int
    peer_port: int


class Announce(msgspec.Struct, frozen=True, tag="announce"):
    """A member tells its other ports, and where clients find it, which is no part of who it is."""

    node_id: int
    primary_port: int
    replica_port: int
    peer_port: int
    announced: Announced = NOTHING


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Take a member out of all placements; it is forgotten once its groups have settled elsewhere."""

    node_id: int


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Say that a member is to hold no replica, or (`draining` false) that it may again."""

    node_id: int
    draining: bool


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Take a leaving node out of the members, as no group has it any more."""

    node_id: int


class Place(msgspec.Struct, frozen=True, tag="place"):
    """Choose a group's voters, the preferred leader first; `replacing` also while it is still moving."""

    group_id: int
    voters: tuple[int, ...]
    replacing: bool = False


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """The group's committed configuration is the placement of epoch `placed`, and nothing else.

    So it is as of (index, term), a committed place in the group's log: who is told to go can tell by it
    whether it has come back since.
    """

    group_id: int
    placed: int
    index: int = 0
    term: int = 0


class Recover(msgspec.Struct, frozen=True, tag="recover"):
    """A quorum was lost for good: one node is all there is, in every group (`redraft recover`).

    Groups that it has nothing of are `lost`: others begin in their place (`control.groups.begun_anew`).
    """

    node_id: int
    lost: tuple[int, ...] = ()


Command = (
    Join
    | Announce
    | Remove
    | Drain
    | Forget
    | Place
    | Settled
    | Recover
    | MoveSlots
    | CancelMove
    | Moved
    | EndMove
    | CreateGroup
    | SplitGroup
    | MergeGroups
    | DropGroup
    | ForgetGroup
)


class Refused(NamedTuple):
    """A command that changed nothing, and the sentence that says why and what to do."""

    reason: str


Answer = int | Refused
"""The id of a node (`Join`), of a move (`MoveSlots`, `MergeGroups`) or of a group (`CreateGroup`,
`SplitGroup`), or an epoch: the topology's after the command."""

_encoder: Final = msgspec.msgpack.Encoder()
_topology: Final = msgspec.msgpack.Decoder(Topology)
_command: Final = msgspec.msgpack.Decoder(Command)


def encode(topology: Topology) -> bytes:
    """The topology as bytes: the same on every node that has the same topology."""
    return _encoder.encode(topology)


def decode(encoded: bytes) -> Topology:
    """What `encode` made; raises msgspec.MsgspecError for anything else."""
    topology = _topology.decode(encoded)
    if topology.format != FORMAT:
        raise msgspec.ValidationError(f"topology of format {topology.format}, this version knows {FORMAT}")
    if not topology.next_group_id:
        return replace(topology, next_group_id=_after_all(topology.groups))
    return topology


def _after_all(groups: Sequence[GroupRecord]) -> int:
    """The next group's id while no group has ever gone."""
    return max(group.group_id for group in groups) + 1


def encode_command(command: Command) -> bytes:
    """A command as it stands in an entry."""
    return _encoder.encode(command)


def decode_command(encoded: bytes) -> Command:
    """What `encode_command` made; raises msgspec.MsgspecError for anything else."""
    command: Command = _command.decode(encoded)
    return command


def founding_topology(first: ClusterMap, replication_factor: int) -> Topology:
    """The topology before the first entry, from the map of the first configuration: the same on all nodes.

    Ports are left out: they are no part of the configuration, and nodes may have met with different ones.
    """
    nodes = tuple(
        NodeRecord(each.node_id, each.hex_id, each.host, each.client_port)
        for each in sorted(first.members, key=lambda each: each.node_id)
    )
    groups = tuple(GroupRecord(each.group_id, each.slots, each.voters) for each in first.groups)
    next_node_id, next_group_id = nodes[-1].node_id + 1, _after_all(groups)
    return Topology(
        FORMAT, FOUNDING_EPOCH, next_node_id, replication_factor, nodes, groups, next_group_id=next_group_id
    )


def topology_placement(topology: Topology) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(voters, learners) of the topology group itself: the first members that stay vote, the rest learn.

    Those that are drained come last.
    """
    staying = [node for node in topology.nodes if not node.leaving]
    staying.sort(key=lambda node: node.draining)
    voters = tuple(node.node_id for node in staying[:TOPOLOGY_VOTERS_MAX])
    return voters, tuple(node.node_id for node in topology.nodes if node.node_id not in voters)


def apply(topology: Topology, command: Command, index: int) -> tuple[Topology, Answer]:
    """The topology after a command whose entry has this index, and what to answer to who asked."""
    match command:
        case Join():
            return _join(topology, command, index)
        case Announce():
            return _announce(topology, command, index)
        case Remove():
            return _remove(topology, command, index)
        case Drain():
            return _drain(topology, command, index)
        case Forget():
            return _forget(topology, command, index)
        case Place():
            return _place(topology, command, index)
        case Settled():
            return _settle(topology, command, index)
        case Recover():
            return _recover(topology, command, index)
        case MoveSlots() | CancelMove() | Moved() | EndMove():
            return _move(topology, command, index)
        case CreateGroup() | SplitGroup() | MergeGroups() | DropGroup() | ForgetGroup():
            return _change_groups(topology, command, index)


def _join(topology: Topology, command: Join, index: int) -> tuple[Topology, Answer]:
    known = next((node for node in topology.nodes if node.hex_id == command.hex_id), None)
    if known is not None:
        return topology, known.node_id
    node = NodeRecord(
        topology.next_node_id,
        command.hex_id,
        command.host,
        command.client_port,
        command.primary_port,
        command.replica_port,
        command.peer_port,
    )
    holder = next((each for each in topology.nodes if each.address == node.address), None)
    if holder is not None:
        return topology, Refused(
            f"{node.address} is the address of node {holder.node_id}: if that one has lost its disk, take it "
            f"out first (redraft node remove {holder.node_id}); otherwise give the new node another address."
        )
    if len(topology.nodes) >= NODES_MAX:
        return topology, Refused(f"The cluster has {NODES_MAX} nodes, and more are not supported.")
    joined = replace(
        topology,
        epoch=index,
        next_node_id=node.node_id + 1,
        nodes=(*topology.nodes, node),
        groups=_placed(
            topology.groups, fill(_placements(topology), node.node_id, topology.replication_factor), index
        ),
    )
    return joined, node.node_id


def _announce(topology: Topology, command: Announce, index: int) -> tuple[Topology, Answer]:
    node = topology.node(command.node_id)
    if node is None:
        return topology, _unknown_node(topology, command.node_id)
    told = replace(
        node,
        primary_port=command.primary_port,
        replica_port=command.replica_port,
        peer_port=command.peer_port,
        announced=command.announced,
    )
    if told == node:
        return topology, topology.epoch
    return replace(topology, epoch=index, nodes=_with_node(topology.nodes, told)), index


def _remove(topology: Topology, command: Remove, index: int) -> tuple[Topology, Answer]:
    node = topology.node(command.node_id)
    if node is None:
        return topology, _unknown_node(topology, command.node_id)
    if node.leaving:
        return topology, topology.epoch
    staying = [each.node_id for each in topology.nodes if not each.leaving and each is not node]
    if not staying:
        return topology, Refused(f"Node {node.node_id} is the last one: a cluster needs a node.")
    willing = [each for each in staying if each not in _drained(topology)]
    placements = replaced(_placements(topology), node.node_id, willing or staying)
    return (
        replace(
            topology,
            epoch=index,
            nodes=_with_node(topology.nodes, replace(node, leaving=True)),
            groups=_placed(topology.groups, placements, index),
        ),
        index,
    )


def _drain(topology: Topology, command: Drain, index: int) -> tuple[Topology, Answer]:
    node = topology.node(command.node_id)
    if node is None:
        return topology, _unknown_node(topology, command.node_id)
    if node.leaving:
        return topology, Refused(f"Node {node.node_id} is being removed, which empties it already.")
    if node.draining == command.draining:
        return topology, topology.epoch
    nodes = _with_node(topology.nodes, replace(node, draining=command.draining))
    return replace(topology, epoch=index, nodes=nodes), index


def _drained(topology: Topology) -> set[int]:
    return {node.node_id for node in topology.nodes if node.draining}


def _forget(topology: Topology, command: Forget, index: int) -> tuple[Topology, Answer]:
    node = topology.node(command.node_id)
    if node is None:
        return topology, topology.epoch
    if not may_forget(topology, node.node_id):
        return topology, Refused(f"Node {node.node_id} still has a part in a group.")
    nodes = tuple(each for each in topology.nodes if each is not node)
    return replace(topology, epoch=index, nodes=nodes), index


def may_forget(topology: Topology, node_id: int) -> bool:
    """Whether a leaving node has no part in any group but the topology group."""
    node = topology.node(node_id)
    return (
        node is not None
        and node.leaving
        and not any(group.moving or node_id in group.voters for group in topology.groups)
    )


def _place(topology: Topology, command: Place, index: int) -> tuple[Topology, Answer]:
    group = topology.group(command.group_id)
    if group is None:
        return topology, Refused(no_such_group(topology.groups, command.group_id))
    refusal = _unplaceable(topology, command.voters)
    if refusal is not None:
        return topology, refusal
    if command.voters == group.voters:
        return topology, topology.epoch
    refusal = _drained_among(topology, set(command.voters).difference(group.voters))
    if refusal is not None:
        return topology, refusal
    if group.moving and not command.replacing:
        return topology, Refused(
            f"Group {group.group_id} is still moving to nodes {_listed(group.voters)}: wait for that, "
            "or say --replace to have it go to other nodes instead."
        )
    return replace(
        topology, epoch=index, groups=_placed(topology.groups, {group.group_id: command.voters}, index)
    ), index


def _unplaceable(topology: Topology, voters: Sequence[int]) -> Refused | None:
    if not voters:
        return Refused("A group needs a node to stand on.")
    if len(set(voters)) != len(voters):
        return Refused(f"Nodes {_listed(voters)} name one twice: a node has one replica of a group at most.")
    if len(voters) > VOTERS_MAX:
        return Refused(f"A group has at most {VOTERS_MAX} replicas.")
    for voter in voters:
        node = topology.node(voter)
        if node is None:
            return _unknown_node(topology, voter)
        if node.leaving:
            return Refused(f"Node {voter} is being removed: nothing can be placed there.")
    return None


def _drained_among(topology: Topology, voters: set[int]) -> Refused | None:
    drained = sorted(_drained(topology) & voters)
    if not drained:
        return None
    return Refused(
        f"Node {drained[0]} is drained: say redraft node undrain {drained[0]} to have replicas there."
    )


def _settle(topology: Topology, command: Settled, index: int) -> tuple[Topology, Answer]:
    group = topology.group(command.group_id)
    if group is None or not group.settled < command.placed <= group.placed:
        return topology, topology.epoch  # a late or repeated report
    settled = replace(group, settled=command.placed, settled_index=command.index, settled_term=command.term)
    groups = tuple(settled if each is group else each for each in topology.groups)
    return replace(topology, epoch=index, groups=groups), index


def _recover(topology: Topology, command: Recover, index: int) -> tuple[Topology, Answer]:
    node = topology.node(command.node_id)
    if node is None:
        return topology, _unknown_node(topology, command.node_id)
    here = (node.node_id,)
    kept = begun_anew(Groups(topology.groups, topology.moves, topology.next_group_id), command.lost)
    groups = tuple(
        replace(group, voters=here, placed=index, settled=index, founders=here) for group in kept.groups
    )
    alone = replace(node, leaving=False, draining=False)
    return replace(
        topology, epoch=index, nodes=(alone,), groups=groups, moves=kept.moves, next_group_id=kept.next_id
    ), index


def _move(topology: Topology, command: MoveCommand, index: int) -> tuple[Topology, Answer]:
    fresh = max(index, topology.next_move_id)
    groups, moves, refused = apply_move(topology.groups, topology.moves, command, fresh)
    if refused:
        return topology, Refused(refused)
    if groups is topology.groups and moves is topology.moves:
        return topology, topology.epoch
    after = replace(topology, epoch=index, groups=groups, moves=moves)
    if isinstance(command, MoveSlots):
        return replace(after, next_move_id=fresh + 1), fresh
    return after, index


def _change_groups(topology: Topology, command: GroupCommand, index: int) -> tuple[Topology, Answer]:
    voters: tuple[int, ...] = ()
    if isinstance(command, CreateGroup | SplitGroup):
        voters = command.voters or _founders(topology)
        refusal = _unplaceable(topology, voters) or _drained_among(topology, {*command.voters})
        if refusal is not None:
            return topology, refusal
    known = Groups(topology.groups, topology.moves, topology.next_group_id, topology.next_move_id)
    done = apply_groups(known, command, voters, index)
    if isinstance(done, str):
        return topology, Refused(done)
    after, answer = done
    if after is known:
        return topology, topology.epoch
    changed = replace(
        topology,
        epoch=index,
        groups=after.groups,
        moves=after.moves,
        next_group_id=after.next_id,
        next_move_id=after.next_move_id,
    )
    return changed, answer


def _founders(topology: Topology) -> tuple[int, ...]:
    """Where a new group is to stand."""
    staying = [node.node_id for node in topology.nodes if not node.leaving]
    willing = [node for node in staying if node not in _drained(topology)]
    return founders(_placements(topology), willing or staying, topology.replication_factor)


def _placements(topology: Topology) -> dict[int, tuple[int, ...]]:
    return {group.group_id: group.voters for group in topology.groups}


def _placed(
    groups: Sequence[GroupRecord], placements: dict[int, tuple[int, ...]], index: int
) -> tuple[GroupRecord, ...]:
    """The groups with these placements; those that another order of the same nodes suits need not settle."""
    return tuple(_place_one(group, placements.get(group.group_id, group.voters), index) for group in groups)


def _place_one(group: GroupRecord, voters: tuple[int, ...], index: int) -> GroupRecord:
    if voters == group.voters:
        return group
    if set(voters) == set(group.voters):
        return replace(group, voters=voters)
    return replace(group, voters=voters, placed=index)


def _with_node(nodes: Sequence[NodeRecord], changed: NodeRecord) -> tuple[NodeRecord, ...]:
    return tuple(changed if node.node_id == changed.node_id else node for node in nodes)


def _unknown_node(topology: Topology, node_id: int) -> Refused:
    if topology.was_removed(node_id):
        return Refused(f"Node {node_id} was removed already: ids are not used again.")
    members = _listed([node.node_id for node in topology.nodes])
    return Refused(f"There is no node {node_id}: the members are {members}.")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
