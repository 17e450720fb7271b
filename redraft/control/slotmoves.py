"""Groups, their slots, and the moves of slots between them that are under way.

Part of the topology's state machine (`topology`): pure functions of records.

    MoveSlots  -> a move; the groups' own logs carry it out (`redraft.node.moving`)
    Moved      -> the target's log has accepted: the slots are the target's from this epoch on
    EndMove    -> the source's log has let go of them, or has them back after a refusal: the move is forgotten
    CancelMove -> whoever carries it out is to ask the target's log to refuse; that log decides

Always true: a slot is in one group's record; a slot is in one move at most; the slots of a move are the
source's until it is accepted and the target's from then on.  So the map says who should be asked; whether a
group does own a slot, its own log says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from redraft.topology.slots import SLOTS, ranges_of, united, without

Ranges = tuple[tuple[int, int], ...]
"""Slots as inclusive ranges, ascending."""

FOUNDING_EPOCH: Final = 1
"""The epoch of the topology that follows from the first configuration alone."""


class GroupRecord(msgspec.Struct, frozen=True):
    """A group: its slots as inclusive ranges, its placement, and the epochs of placing and settling it.

    (`settled_index`, `settled_term`) is a committed place in the group's log, as of which it had settled.
    `first` has the slots that the group owned before its log began, once they are others than now.
    `founders` is the configuration its log began with; empty: what follows from the first configuration.
    `dropping`: it is to go once it has no slots any more (`redraft.control.groups`).
    """

    group_id: int
    slots: Ranges
    voters: tuple[int, ...]
    placed: int = FOUNDING_EPOCH
    settled: int = FOUNDING_EPOCH
    settled_index: int = 0
    settled_term: int = 0
    first: Ranges | None = None
    founders: tuple[int, ...] = ()
    dropping: bool = False

    @property
    def first_slots(self) -> Ranges:
        """What the group owned before its first entry: its log says what became of that."""
        return self.slots if self.first is None else self.first

    @property
    def moving(self) -> bool:
        """Whether the group's replicas are still on their way to where they should stand."""
        return self.settled < self.placed


class MoveRecord(msgspec.Struct, frozen=True):
    """Slots on their way from one group to another; the id is given once: the groups' logs go by it."""

    move_id: int
    slots: Ranges
    source: int
    target: int
    cancelled: bool = False
    accepted: bool = False


# ---- commands ----


class MoveSlots(msgspec.Struct, frozen=True, tag="move_slots"):
    """Move slots of one group to another.  Answer: the move's id."""

    slots: Ranges
    source: int
    target: int


class CancelMove(msgspec.Struct, frozen=True, tag="cancel_move"):
    """Give a move up, unless the target has accepted."""

    move_id: int


class Moved(msgspec.Struct, frozen=True, tag="moved"):
    """The target's log has accepted the slots of a move."""

    move_id: int


class EndMove(msgspec.Struct, frozen=True, tag="end_move"):
    """The source's log has nothing more to do with a move."""

    move_id: int


MoveCommand = MoveSlots | CancelMove | Moved | EndMove


class Outcome(NamedTuple):
    """What a command made of the groups and moves; `refused` says why it changed nothing."""

    groups: tuple[GroupRecord, ...]
    moves: tuple[MoveRecord, ...]
    refused: str = ""


def apply_move(
    groups: tuple[GroupRecord, ...], moves: tuple[MoveRecord, ...], command: MoveCommand, fresh: int
) -> Outcome:
    """The groups and moves after a command; `fresh` is the id of the move that it begins, if it does."""
    if isinstance(command, MoveSlots):
        why = _immovable(groups, moves, command)
        if why:
            return Outcome(groups, moves, why)
        made = MoveRecord(fresh, command.slots, command.source, command.target)
        return Outcome(groups, (*moves, made))
    move = next((each for each in moves if each.move_id == command.move_id), None)
    if isinstance(command, CancelMove):
        if move is None:
            return Outcome(groups, moves, f"There is no move {command.move_id}: it has ended, or never was.")
        if move.accepted:
            why = (
                f"Group {move.target} owns the slots of move {move.move_id} already: move them back instead."
            )
            return Outcome(groups, moves, why)
        return Outcome(_staying(groups, move.source), _changed(moves, replace(move, cancelled=True)))
    if move is None:
        return Outcome(groups, moves)  # a late or repeated report
    if isinstance(command, EndMove):
        return Outcome(groups, tuple(each for each in moves if each is not move))
    if move.accepted:
        return Outcome(groups, moves)
    return Outcome(_handed_over(groups, move), _changed(moves, replace(move, accepted=True)))


def _immovable(groups: Sequence[GroupRecord], moves: Sequence[MoveRecord], command: MoveSlots) -> str:
    """Why slots can't be moved now, "" when they can."""
    owners = {group.group_id: group for group in groups}
    if not command.slots or any(not 0 <= low <= high < SLOTS for low, high in command.slots):
        return f"Slots are 0 to {SLOTS - 1}, in ranges as 0-99,200."
    if command.target == command.source:
        return f"Group {command.target} owns these slots already."
    for group in (command.source, command.target):
        if group not in owners:
            return no_such_group(groups, group)
    if owners[command.target].dropping:
        return f"Group {command.target} is being dropped: it gets no slots any more."
    wanted = command.slots
    if _count(wanted) != _count(united(wanted)):
        return "A slot is named twice."
    foreign = without(wanted, owners[command.source].slots)
    if foreign:
        return f"Slots {written(foreign)} are not those of group {command.source}."
    for move in moves:
        free = without(wanted, move.slots)
        if _count(free) != _count(wanted):
            return (
                f"Slots {written(without(wanted, free))} are on their way from group {move.source} to group "
                f"{move.target} (move {move.move_id}): wait for that, or cancel it."
            )
    return ""


def no_such_group(groups: Iterable[GroupRecord], group_id: int) -> str:
    """The sentence for a group that is none."""
    known = ", ".join(str(group.group_id) for group in groups)
    return f"There is no group {group_id}: the groups are {known}."


def _staying(groups: tuple[GroupRecord, ...], group_id: int) -> tuple[GroupRecord, ...]:
    """The groups once it has been given up to move this one's slots: it is not to go any more."""
    if not any(group.dropping and group.group_id == group_id for group in groups):
        return groups
    return tuple(replace(each, dropping=False) if each.group_id == group_id else each for each in groups)


def _handed_over(groups: Iterable[GroupRecord], move: MoveRecord) -> tuple[GroupRecord, ...]:
    """The groups once the target has what the source had."""
    return tuple(
        _after(group, move) if group.group_id in (move.source, move.target) else group for group in groups
    )


def _after(group: GroupRecord, move: MoveRecord) -> GroupRecord:
    if group.group_id == move.source:
        assert not without(move.slots, group.slots), "the slots of a move are its source's"
        slots = without(group.slots, move.slots)
    else:
        slots = united((*group.slots, *move.slots))
    return replace(group, slots=tuple(slots), first=group.first_slots)


def _changed(moves: Iterable[MoveRecord], changed: MoveRecord) -> tuple[MoveRecord, ...]:
    return tuple(changed if move.move_id == changed.move_id else move for move in moves)


def _count(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(high - low + 1 for low, high in ranges)


def slots_of(ranges: Iterable[tuple[int, int]]) -> set[int]:
    """The slots in inclusive ranges."""
    return {slot for low, high in ranges for slot in range(low, high + 1)}


def written(ranges: Iterable[tuple[int, int]]) -> str:
    """Ranges as people write them: 0-99,200."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def read(text: str) -> Ranges:
    """What `written` made, or a person wrote; raises ValueError for anything else."""
    ranges = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        ranges.append((int(low), int(high if dash else low)))
    slots = slots_of(ranges)
    if any(low > high for low, high in ranges) or not slots or min(slots) < 0 or max(slots) >= SLOTS:
        raise ValueError(f"slots are 0 to {SLOTS - 1}, in ranges as 0-99,200: {text}")
    return tuple(ranges_of(slots))
