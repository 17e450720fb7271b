"""What a group's log should say, in the plainest way: a list behind a base."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from redraft.raft.types import Entry, EntryKind, HardState
from redraft.wal import GroupLog
from tests.wal.steps import contents, entry


class State(NamedTuple):
    """All that a group's log may be asked."""

    first_index: int
    base_term: int
    entries: tuple[Entry, ...]
    hard_state: HardState
    configurations: tuple[int, ...]
    data_bytes: int


def state_of(view: GroupLog) -> State:
    """Ask a real log."""
    return State(
        view.first_index,
        view.term(view.first_index - 1),
        tuple(contents(view)),
        view.hard_state,
        tuple(view.configurations()),
        view.bytes,
    )


@dataclass
class Model:
    """One group."""

    base: int = 0
    base_term: int = 0
    entries: list[Entry] = field(default_factory=list)
    hard_state: HardState = field(default_factory=HardState)

    @property
    def last(self) -> int:
        return self.base + len(self.entries)

    @property
    def last_term(self) -> int:
        return self.entries[-1].term if self.entries else self.base_term

    def append(self, entries: Sequence[Entry]) -> None:
        del self.entries[entries[0].index - self.base - 1 :]
        self.entries += entries

    def compact(self, index: int) -> None:
        if index > self.base:
            self.base_term = self.entries[index - self.base - 1].term
            del self.entries[: index - self.base]
            self.base = index

    def restore(self, index: int, term: int) -> None:
        self.entries.clear()
        self.base, self.base_term = index, term

    def state(self) -> State:
        return State(
            self.base + 1,
            self.base_term,
            tuple(self.entries),
            self.hard_state,
            tuple(each.index for each in self.entries if each.kind == EntryKind.CONFIGURATION),
            sum(len(each.data) for each in self.entries),
        )


def change(chance: random.Random, model: Model, view: GroupLog, size_max: int = 2000) -> None:
    """Do one thing that Raft may do, to both."""
    match chance.randrange(14):
        case 0:
            model.hard_state = HardState(model.hard_state.term + 1, chance.randrange(4))
            view.save(model.hard_state)
        case 1 if model.entries:
            index = chance.randrange(model.base + 1, model.last + 1)
            _append(chance, model, view, index, max(model.last_term, model.hard_state.term) + 1, size_max)
        case 2 | 3:
            index = chance.randrange(model.base, model.last + 1)
            model.compact(index)
            view.compact(index)
        case 4 if chance.random() < 0.3:
            index = chance.choice([0, model.last, model.last + 7, max(model.base, 1)])
            term = model.last_term + chance.randrange(2) if index else 0
            model.restore(index, term)
            view.restore(index, term)
        case _:
            term = max(model.last_term, model.hard_state.term, 1)
            _append(chance, model, view, model.last + 1, term, size_max)


def _append(
    chance: random.Random, model: Model, view: GroupLog, index: int, term: int, size_max: int
) -> None:
    entries = [
        replace(
            entry(each, term, chance.randrange(size_max)),
            kind=EntryKind.CONFIGURATION if chance.random() < 0.1 else EntryKind.PARTS,
        )
        for each in range(index, index + chance.randrange(1, 4))
    ]
    model.append(entries)
    view.append(entries)
