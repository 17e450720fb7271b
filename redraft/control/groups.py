"""Groups that are made, split, merged and dropped, while the cluster serves.

Part of the topology's state machine (`topology`): pure functions of records.

    CreateGroup  -> a group without slots
    SplitGroup   -> a group, and a move of slots to it
    MergeGroups  -> a move of all slots to another group; the group that gives them is *dropping* from here on
    DropGroup    -> a group without slots is dropping
    ForgetGroup  -> a dropping group that has nothing any more is none any more

A new group's log begins with its first voters, the *founders*, as its configuration: each makes its replica
by itself when it learns of the group (`redraft.node.hosting`).  Its state begins without slots: those come by
moves, so a replica that was made too late or in vain serves nothing.

Always true: an id is given once and never again; a group that is dropping gets no slots; one that is
forgotten has none, and no move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from redraft.base.limits import GROUP_ID_MAX, GROUPS_MAX
from redraft.control.slotmoves import (
    GroupRecord,
    MoveRecord,
    MoveSlots,
    Ranges,
    apply_move,
    no_such_group,
    slots_of,
)
from redraft.topology.slots import ranges_of


class CreateGroup(msgspec.Struct, frozen=True, tag="create_group"):
    """Make a group without slots on these nodes (none: they are chosen).  Answer: its id."""

    voters: tuple[int, ...] = ()


class SplitGroup(msgspec.Struct, frozen=True, tag="split_group"):
    """Make a group, and move slots of another to it (none: half of them).  Answer: the group's id."""

    group_id: int
    slots: Ranges = ()
    voters: tuple[int, ...] = ()


class MergeGroups(msgspec.Struct, frozen=True, tag="merge_groups"):
    """Move all slots of a group to another one, and drop it.  Answer: the move's id."""

    source: int
    target: int


class DropGroup(msgspec.Struct, frozen=True, tag="drop_group"):
    """Drop a group that has no slots."""

    group_id: int


class ForgetGroup(msgspec.Struct, frozen=True, tag="forget_group"):
    """No request can be on its way to a dropping group any more: its replicas go."""

    group_id: int


GroupCommand = CreateGroup | SplitGroup | MergeGroups | DropGroup | ForgetGroup


class Groups(NamedTuple):
    """All groups, the moves between them, the next group's id, and the lowest that a next move may have."""

    groups: tuple[GroupRecord, ...]
    moves: tuple[MoveRecord, ...]
    next_id: int
    next_move_id: int = 0


def apply_groups(
    known: Groups, command: GroupCommand, voters: tuple[int, ...], index: int
) -> tuple[Groups, int] | str:
    """The groups after a command whose entry has this index and the answer, or why it is refused.

    `voters` are those of a group to be made.
    """
    match command:
        case CreateGroup():
            return _create(known, voters, index)
        case SplitGroup():
            return _split(known, command, voters, index)
        case MergeGroups():
            return _merge(known, command, index)
        case DropGroup():
            return _drop(known, command.group_id, index)
        case ForgetGroup():
            return _forget(known, command.group_id, index)


def may_forget_group(group: GroupRecord, moves: Sequence[MoveRecord]) -> bool:
    """Whether nothing is left of a dropping group but requests that may still be on their way to it."""
    return group.dropping and not group.slots and not _moves_of(group.group_id, moves)


def begun_anew(known: Groups, lost: Sequence[int]) -> Groups:
    """The groups once those that are lost have others in their place: empty, owning what they owned.

    What was on its way to or from them is given up, by those that have taken their place.
    """
    groups, number, heirs = [], known.next_id, dict[int, int]()
    for group in known.groups:
        if group.group_id in lost:
            heirs[group.group_id] = number
            groups.append(GroupRecord(number, group.slots, group.voters, first=group.slots))
            number += 1
        else:
            groups.append(group)
    moves = tuple(
        replace(
            move,
            source=heirs.get(move.source, move.source),
            target=heirs.get(move.target, move.target),
            cancelled=move.cancelled or not heirs.keys().isdisjoint((move.source, move.target)),
        )
        for move in known.moves
    )
    return Groups(tuple(groups), moves, number)


def _create(known: Groups, voters: tuple[int, ...], index: int) -> tuple[Groups, int] | str:
    if len(known.groups) >= GROUPS_MAX:
        return f"There are {GROUPS_MAX} groups, and more are not supported: merge some first."
    number = known.next_id
    if number > GROUP_ID_MAX:
        return (
            f"All {GROUP_ID_MAX} numbers of groups have been given, and none is given twice: "
            "this cluster can make no group any more."
        )
    made = GroupRecord(number, (), voters, index, index, first=(), founders=voters)
    return known._replace(groups=(*known.groups, made), next_id=number + 1), number


def _split(
    known: Groups, command: SplitGroup, voters: tuple[int, ...], index: int
) -> tuple[Groups, int] | str:
    source = _group(known, command.group_id)
    if source is None:
        return no_such_group(known.groups, command.group_id)
    slots = command.slots or _upper_half(source.slots)
    if not slots or slots_of(slots) >= slots_of(source.slots):
        return f"Group {source.group_id} would have no slot left: a split leaves it one at least."
    made = _create(known, voters, index)
    if isinstance(made, str):
        return made
    grown, number = made
    moved = _moved(grown, MoveSlots(slots, source.group_id, number), index)
    return moved if isinstance(moved, str) else (moved[0], number)


def _upper_half(ranges: Ranges) -> Ranges:
    slots = sorted(slots_of(ranges))
    return tuple(ranges_of(slots[(len(slots) + 1) // 2 :]))


def _merge(known: Groups, command: MergeGroups, index: int) -> tuple[Groups, int] | str:
    source = _group(known, command.source)
    if source is None:
        return no_such_group(known.groups, command.source)
    if source.dropping:
        return f"Group {source.group_id} is being dropped already."
    if not source.slots:
        return f"Group {source.group_id} has no slots that could be merged into another group: drop it."
    busy = _moves_of(source.group_id, known.moves)
    if busy:
        return _busy(source.group_id, busy[0])
    moved = _moved(known, MoveSlots(source.slots, source.group_id, command.target), index)
    if isinstance(moved, str):
        return moved
    after, number = moved
    return _with_group(after, replace(source, dropping=True)), number


def _drop(known: Groups, group_id: int, index: int) -> tuple[Groups, int] | str:
    group = _group(known, group_id)
    if group is None:
        return no_such_group(known.groups, group_id)
    if group.dropping:
        return known, index
    if len(known.groups) == 1:
        return f"Group {group_id} is the last one: a cluster needs a group."
    if group.slots:
        return (
            f"Group {group_id} owns slots: give them to another group first "
            f"(redraft group merge {group_id} --into GROUP does both)."
        )
    busy = _moves_of(group_id, known.moves)
    if busy:
        return _busy(group_id, busy[0])
    return _with_group(known, replace(group, dropping=True)), index


def _forget(known: Groups, group_id: int, index: int) -> tuple[Groups, int] | str:
    group = _group(known, group_id)
    if group is None or not may_forget_group(group, known.moves):
        return known, index  # late, or repeated
    return known._replace(groups=tuple(each for each in known.groups if each is not group)), index


def _moved(known: Groups, command: MoveSlots, index: int) -> tuple[Groups, int] | str:
    fresh = max(index, known.next_move_id)
    groups, moves, refused = apply_move(known.groups, known.moves, command, fresh)
    return refused or (Groups(groups, moves, known.next_id, fresh + 1), fresh)


def _group(known: Groups, group_id: int) -> GroupRecord | None:
    return next((group for group in known.groups if group.group_id == group_id), None)


def _with_group(known: Groups, changed: GroupRecord) -> Groups:
    groups = tuple(changed if each.group_id == changed.group_id else each for each in known.groups)
    return known._replace(groups=groups)


def _moves_of(group_id: int, moves: Sequence[MoveRecord]) -> list[MoveRecord]:
    return [move for move in moves if group_id in (move.source, move.target)]


def _busy(group_id: int, move: MoveRecord) -> str:
    return (
        f"Slots are on their way from group {move.source} to group {move.target} (move {move.move_id}): "
        f"group {group_id} can go once that has ended, or is cancelled."
    )
