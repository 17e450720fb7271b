"""Is a history linearizable?  Wing and Gong's search, with Lowe's memory of what was tried.

For registers and counters; keys that are only appended to are `appends`, which needs no search.  Histories
of simulated and of live clusters alike.

Linearizability is local (Herlihy and Wing, theorem 1): a history is linearizable if that of each
key is, so each key is searched alone.  Its state is one value: a register's, or a counter's sum.
A configuration of the search is (operations that took effect, state); from it any operation may
take effect next that began before all others still missing ended.  Configurations met before are
not searched again, and are kept small: `first` operations have all taken effect, a window of bits
says which behind them.

UNKNOWN operations may take effect once, at any time after their start, or never.  Left to the
search they double it each, so what is known about them is used first:
- a write nobody read the value of may as well never have happened (values are unique: checked);
- a write somebody read took effect before that read ended: it has an end like any other;
- of equal increments the one that began first can stand for each of the others.

Pure: no I/O, no clock.  Cost: linear in the history where clients are few, as ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from redraft.simulation.appends import check_appends
from redraft.simulation.history import Kind, Operation, Outcome, Violation

CONFIGURATIONS_MAX = 1_000_000
State = str | int | None
Configuration = tuple[int, int, int, State]


class SearchTooLargeError(Exception):
    """The search was given up: the history has too many operations at the same time to be judged."""


def violations(history: Iterable[Operation], initial: State = None) -> list[Violation]:
    """Return one violation per key whose history is not linearizable, none when all are."""
    keys: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        keys[operation.key].append(operation)
    found = (check_key(key, operations, initial) for key, operations in sorted(keys.items()))
    return [violation for violation in found if violation is not None]


def check_key(key: str, operations: Iterable[Operation], initial: State = None) -> Violation | None:
    """Return why the history of one key is not linearizable, None when it is."""
    operations = list(operations)
    if any(operation.kind is Kind.APPEND for operation in operations):
        return check_appends(key, operations)
    return _Search(key, _settle_unknown_writes(operations), initial).run()


def _settle_unknown_writes(operations: list[Operation]) -> list[Operation]:
    """Drop what never happened; give unknown writes the end that the reads of their values prove."""
    first_read_end: dict[State, float] = {}
    writes: defaultdict[State, int] = defaultdict(int)
    increments = False
    for operation in operations:
        if operation.outcome is Outcome.FAILED:
            continue
        if operation.kind is Kind.WRITE:
            writes[operation.argument] += 1
        elif operation.kind is Kind.INCREMENT:
            increments = True
        elif operation.outcome is Outcome.OK:
            known = first_read_end.get(operation.result, float("inf"))
            first_read_end[operation.result] = min(known, operation.end)
    settled = []
    for operation in operations:
        if operation.outcome is Outcome.FAILED:
            continue
        if operation.outcome is Outcome.UNKNOWN:
            if operation.kind is Kind.READ:
                continue
            if operation.kind is Kind.WRITE and not increments and writes[operation.argument] == 1:
                end = first_read_end.get(operation.argument)
                if end is None:
                    continue
                # Order within the session binds known operations only: an unknown one may come late.
                settled.append(replace(operation, outcome=Outcome.OK, end=end, session=-1))
                continue
        settled.append(operation)
    return settled


class _Search:
    """Depth-first over configurations (first, window, unknown, state) of one key."""

    def __init__(self, key: str, operations: list[Operation], initial: State) -> None:
        self.key = key
        self.initial = initial
        by_start = sorted(operations, key=lambda operation: (operation.start, operation.number))
        self.known = [operation for operation in by_start if operation.outcome is Outcome.OK]
        self.unknown = [operation for operation in by_start if operation.outcome is Outcome.UNKNOWN]
        self.before = self._session_order()

    def _session_order(self) -> list[int]:
        """For each known operation the position of the one before it in its session, or -1."""
        last: dict[int, int] = {}
        before = [-1] * len(self.known)
        in_order = sorted(range(len(self.known)), key=lambda at: self.known[at].number)
        for at in in_order:
            session = self.known[at].session
            if session >= 0:
                before[at] = last.get(session, -1)
                last[session] = at
        return before

    def run(self) -> Violation | None:
        start = (0, 0, 0, self.initial)
        seen = {start}
        stack = [(start, self._next(start))]
        deepest = start
        while stack:
            configuration, following = stack[-1]
            if configuration[0] == len(self.known):
                return None
            if _depth(configuration) > _depth(deepest):
                deepest = configuration
            for candidate in following:
                if candidate not in seen:
                    seen.add(candidate)
                    stack.append((candidate, self._next(candidate)))
                    break
            else:
                stack.pop()
            if len(seen) > CONFIGURATIONS_MAX:
                raise SearchTooLargeError(f"{self.key}: {len(seen)} configurations")
        first, window, _, state = deepest
        return Violation(
            self.key,
            f"after {_depth(deepest)} of {len(self.known)} operations, in state {state!r}, none of these can"
            " be next",
            tuple(self.known[at] for at in self._open(first, window)),
        )

    def _open(self, first: int, window: int) -> list[int]:
        """Positions of the known operations that may be next: begun before any other missing one ended."""
        known = self.known
        found = []
        ends = float("inf")
        for at in range(first, len(known)):
            operation = known[at]
            if operation.start > ends:
                break
            if not window >> (at - first) & 1:
                found.append(at)
                ends = min(ends, operation.end)
        return [at for at in found if (before := self.before[at]) < first or window >> (before - first) & 1]

    def _next(self, configuration: Configuration) -> Iterator[Configuration]:
        first, window, unknown, state = configuration
        open_ = self._open(first, window)
        for at in open_:
            # A read that fits now changes nothing by taking effect now: no other order need be tried.
            if self.known[at].kind is Kind.READ and self.known[at].result == state:
                yield (*_mark(first, window, at), unknown, state)
                return
        ends = float("inf")
        for at in open_:
            operation = self.known[at]
            ends = min(ends, operation.end)
            possible, after = _apply(operation, state)
            if possible:
                yield (*_mark(first, window, at), unknown, after)
        tried = set()
        for position, operation in enumerate(self.unknown):
            if operation.start > ends:
                break
            same = (operation.kind, operation.argument)
            if not unknown >> position & 1 and same not in tried:
                tried.add(same)
                yield first, window, unknown | 1 << position, _effect(operation, state)


def _depth(configuration: Configuration) -> int:
    return configuration[0] + configuration[1].bit_count()


def _mark(first: int, window: int, at: int) -> tuple[int, int]:
    window |= 1 << (at - first)
    done = (~window & (window + 1)).bit_length() - 1  # how many low bits are set
    return first + done, window >> done


def _effect(operation: Operation, state: State) -> State:
    if operation.kind is Kind.INCREMENT:
        assert isinstance(operation.argument, int)
        return int(state or 0) + operation.argument
    return operation.argument


def _apply(operation: Operation, state: State) -> tuple[bool, State]:
    """Return whether the reply fits the state, and the state after it."""
    if operation.kind is Kind.READ:
        return operation.result == state, state
    after = _effect(operation, state)
    return operation.kind is Kind.WRITE or operation.result == after, after
