"""Is the history of a key that is only appended to linearizable?  What was appended says in which order.

The value is a list: every append adds a token of its own, which ends with `TERMINATOR` and has no other.
A read shows the order of all before it, and an acknowledged append says its place by the length it was
told.  So there is nothing to search: the order is known, and it must agree with the times (no operation
stands before one that had ended when it began), with each session, and with what was refused.

Pure; linear but for sorting.
"""

from __future__ import annotations

from collections.abc import Iterable

from redraft.simulation.history import Kind, Operation, Outcome, Violation

TERMINATOR = ";"
Place = tuple[int, int]
"""Where an operation stands: by the length of the value behind it, appends before reads."""


def check_appends(key: str, operations: Iterable[Operation]) -> Violation | None:
    """Return why the history is not linearizable, None when it is; the key begins empty."""
    reads, appends = [], {}
    for operation in operations:
        if operation.kind is Kind.APPEND:
            assert isinstance(operation.argument, str)
            assert operation.argument.find(TERMINATOR) == len(operation.argument) - 1
            assert operation.argument not in appends, "tokens are unique"
            appends[operation.argument] = operation
        elif operation.outcome is Outcome.OK:
            assert operation.kind is Kind.READ, "a key that is appended to is not written to otherwise"
            reads.append(operation)
    longest = max(reads, key=lambda read: len(_text(read)), default=None)
    value = _text(longest) if longest is not None else ""
    for read in reads:
        if not value.startswith(_text(read)):
            assert longest is not None
            return Violation(key, "neither of two reads is the beginning of the other", (read, longest))
    placed: list[tuple[Place, Operation]] = []
    end, seen = 0, set()
    for token in value.split(TERMINATOR)[:-1]:
        token += TERMINATOR  # noqa: PLW2901 - what split took away
        end += len(token)
        assert longest is not None
        append = appends.get(token)
        if append is None or append.outcome is Outcome.FAILED:
            return Violation(key, f"{token!r} is read, but was refused or never asked for", (longest,))
        if token in seen:
            return Violation(key, f"{token!r} was appended twice", (append, longest))
        if append.outcome is Outcome.OK and append.result != end:
            return Violation(key, f"an append is not where it was told, but at {end}", (append, longest))
        seen.add(token)
        placed.append(((end, 0), append))
    beyond = [a for token, a in appends.items() if token not in seen and a.outcome is Outcome.OK]
    for append in sorted(beyond, key=_length):
        if _length(append) < end + len(str(append.argument)):
            return Violation(key, f"an acknowledged append is missing, of which {end} is past", (append,))
        end = _length(append)
        placed.append(((end, 0), append))
    placed += [((len(_text(read)), 1), read) for read in reads]
    placed.sort(key=lambda item: (item[0], item[1].start))
    return _check_times(key, placed) or _check_sessions(key, placed)


def _check_times(key: str, placed: list[tuple[Place, Operation]]) -> Violation | None:
    """No operation began after one behind it had ended."""
    first_to_end: Operation | None = None
    for _place, operation in reversed(placed):
        if first_to_end is not None and operation.start > first_to_end.end:
            what = "the first began after the second had ended, but took effect before it"
            return Violation(key, what, (operation, first_to_end))
        ends = operation.end if operation.outcome is Outcome.OK else float("inf")
        if first_to_end is None or ends < first_to_end.end:
            first_to_end = operation if operation.outcome is Outcome.OK else first_to_end
    return None


def _check_sessions(key: str, placed: list[tuple[Place, Operation]]) -> Violation | None:
    """Operations of a session that were answered stand in the order in which they were asked for."""
    last: dict[int, tuple[Place, Operation]] = {}
    for place, operation in sorted(placed, key=lambda item: item[1].number):
        if operation.session < 0 or operation.outcome is not Outcome.OK:
            continue
        before = last.get(operation.session)
        if before is not None and before[0] > place:
            return Violation(key, "a session's operations changed places", (before[1], operation))
        last[operation.session] = (place, operation)
    return None


def _text(read: Operation) -> str:
    return str(read.result) if read.result is not None else ""


def _length(append: Operation) -> int:
    assert isinstance(append.result, int)
    return append.result
