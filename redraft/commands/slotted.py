"""Which slots a request is about: those of its keys, and those that it names.

    EXEC segments ...        of all commands in it, and of the keys that are watched; all if FLUSHALL is in it
    SCAN cursor              the cursor's slot
    CLUSTER ...INSLOT slot   that slot
    REDRAFT SLOTS ranges     those
    anything else            of its keys, wherever they stand

A request without slots may be carried out by any group.  One that is wrong has none, or those that it seems
to be about: whoever gets it says what is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from redraft.accel.scan import LOOSE, SEVERAL, key_slot, scan_args
from redraft.commands.reply import CommandError
from redraft.commands.table import COMMANDS, IDS, MOVABLE
from redraft.commands.transaction import segments_of, watched_keys
from redraft.commands.whole import parse_cursor
from redraft.topology.slots import SLOTS, parse_ranges

_CLUSTER, _EXEC, _REDRAFT, _SCAN = (IDS[name] for name in (b"cluster", b"exec", b"redraft", b"scan"))


def slots_of(number: int, slot: int, words: Sequence[bytes]) -> Collection[int]:
    """Return the slots of one request; `number` and `slot` are what `scan_args` says of it."""
    if slot >= 0:
        return (slot,)
    if number < 0:
        return ()
    number &= LOOSE - 1
    if slot == SEVERAL or number in MOVABLE:
        command = COMMANDS[number]
        if not command.accepts(len(words)):
            return ()
        return {key_slot(words[at]) for at in command.find_keys(words)}
    if number == _EXEC and len(words) > 1:
        return {
            *(each for _, _, requests in segments_of(words) for each in slots_of_all(requests)),
            *map(key_slot, watched_keys(words)),
        }
    if number == _SCAN:
        return _slot_of_cursor(words)
    if number == _CLUSTER and len(words) > 2:
        return (int(words[2]),) if words[2].isdigit() and int(words[2]) < SLOTS else ()
    if number == _REDRAFT and len(words) > 3 and words[1].lower() == b"slots":
        return {slot for first, last in parse_ranges(words[2]) for slot in range(first, last + 1)}
    return ()


def slots_of_all(requests: bytes) -> set[int]:
    """Return the slots of several requests together."""
    commands, spans = scan_args(requests)
    found: set[int] = set()
    at = 0
    for number, slot, argc in zip(commands[0::3], commands[1::3], commands[2::3], strict=True):
        following = at + 2 * argc
        if slot >= 0:
            found.add(slot)
        elif number >= 0 and COMMANDS[number & (LOOSE - 1)].whole:
            found.update(range(SLOTS))  # without REDRAFT SLOTS around it, it is about all of them
        else:
            words = [requests[spans[i] : spans[i + 1]] for i in range(at, following, 2)]
            found.update(slots_of(number, slot, words))
        at = following
    return found


def _slot_of_cursor(words: Sequence[bytes]) -> Collection[int]:
    try:
        slot, _position = parse_cursor(words[1])
    except (CommandError, IndexError):
        return ()
    return (slot,) if slot < SLOTS else ()
