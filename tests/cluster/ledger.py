"""What must be found after the storm: every acknowledged write, each increment once.

Takes the clients' operations and what was read back at the end; returns sentences, none when all is
well.  Pure.  Stronger than it looks: values are unique and fresh keys written once, so a lost, a
doubled and a "not executed" that was executed all show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from redraft.simulation.history import Kind, Operation, Outcome

SHOWN_MAX = 10


@dataclass
class Ledger:
    """What the operations entitle us to: per fresh key a value, per counter the bounds of its sum."""

    required: dict[str, str] = field(default_factory=dict)
    allowed: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    acknowledged: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    unknown: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def keys(self) -> list[str]:
        """All keys to read back."""
        return [*self.required, *self.allowed, *self.refused]

    @property
    def counters(self) -> list[str]:
        return sorted({*self.acknowledged, *self.unknown})


def ledger(operations: Iterable[Operation], fresh_prefix: str) -> Ledger:
    """Sum up `operations`; keys that begin with `fresh_prefix` were written once each."""
    book = Ledger()
    for operation in operations:
        key, argument = operation.key, operation.argument
        if operation.kind is Kind.INCREMENT and operation.outcome is not Outcome.FAILED:
            sums = book.acknowledged if operation.outcome is Outcome.OK else book.unknown
            assert isinstance(argument, int)
            sums[key] += argument
        elif operation.kind is Kind.WRITE and key.startswith(fresh_prefix):
            if operation.outcome is Outcome.FAILED:
                book.refused.add(key)
            else:
                kept = book.required if operation.outcome is Outcome.OK else book.allowed
                kept[key] = str(argument)
    return book


def complaints(book: Ledger, found: Mapping[str, str | None], sums: Mapping[str, int]) -> list[str]:
    """Return what is wrong with `found` (value per key) and `sums` (per counter), a sentence each kind."""
    lost = [key for key, value in book.required.items() if found.get(key) is None]
    torn = [
        key
        for key, value in (book.required | book.allowed).items()
        if found.get(key) is not None and found[key] != value
    ]
    ghosts = [key for key in book.refused if found.get(key) is not None]
    said = [
        f"{len(keys)} {what}, e.g. {', '.join(sorted(keys)[:SHOWN_MAX])}"
        for what, keys in (
            ("acknowledged writes are missing", lost),
            ("keys hold a value that was never written to them", torn),
            ("writes were refused as not executed and took effect", ghosts),
        )
        if keys
    ]
    for counter in book.counters:
        low = book.acknowledged[counter]
        high = low + book.unknown[counter]
        if not low <= sums.get(counter, 0) <= high:
            said.append(
                f"{counter} is {sums.get(counter, 0)}, not within {low}..{high} (acknowledged..+unknown)"
            )
    return said
