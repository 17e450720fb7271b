"""The request scanner in plain Python: the specification of `native/scan.c`, and its stand-in.

Owns: the request grammar as Redis reads it, a key's slot, and which command a request is.  A buffer of
requests goes in; where commands end, what they are and whose keys they name comes out.

    request  = "*" count CRLF bulk*count        (a count of 0 or less is an empty request: skipped)
    bulk     = "$" length CRLF bytes any any    (the two bytes behind are not looked at, as in Redis)
    anything that does not begin with "*" is an inline line, which the caller turns into a request

Must not know: what a command means, sockets, connections, policy.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence

KIND_SLOW, KIND_READ, KIND_WRITE = 0, 1, 2
"""What the router may do without thinking: nothing; send to the key's group as a read; or as a write."""
NO_KEY, SEVERAL = -1, -2
"""In place of a slot or group: the command has no key; its keys have several."""

OK, INLINE, BAD_COUNT, BIG_COUNT, BAD_TYPE, BAD_BULK, BIG_BULK = range(7)
"""How a scan ended: at an unfinished command or the end; at an inline line; at a protocol error."""

LOOSE = 1 << 16
"""Added by `scan_args` to the id of a request that ends a length or a bulk with other than CR LF."""

LINE_BYTES_MAX = 65536
COMMANDS_MAX = 1024
NAME_BYTES_MAX = 32
BULK_BYTES_MIN = 6
SLOTS = 16384
ROUND_MAX = 1 << 16

Facts = tuple[bytes, int, int, int, int, int]
"""name, kind, arity, first key, last key, step: the last five as in Redis's COMMAND."""
Head = tuple[int, int, int, int, int, int, int, int, int]
"""consumed, status, needed, count, group, writes, last id, cursor, left: see `Scanner.scan`."""
Part = tuple[int, bytes, int, bool]
"""group, the bytes of its commands, how many they are, whether any is a write."""

_facts: list[Facts] = []
_ids: dict[bytes, int] = {}


class _StoppedError(Exception):
    """A request that is unfinished (`status` OK) or broken; `needed` as in `Scanner.scan`."""

    def __init__(self, status: int, needed: int) -> None:
        super().__init__(status, needed)
        self.status = status
        self.needed = needed


def configure(commands: Sequence[Facts]) -> None:
    """Sets the commands; an id is the position here.  Once, before the first scan."""
    assert len(commands) <= COMMANDS_MAX
    assert all(0 < len(facts[0]) <= NAME_BYTES_MAX for facts in commands)
    _facts[:] = [
        (name.lower(), kind, arity, first, last, max(step, 1))
        for name, kind, arity, first, last, step in commands
    ]
    _ids.clear()
    _ids.update({facts[0]: position for position, facts in enumerate(_facts)})


def key_slot(key: bytes) -> int:
    """The key's slot: CRC16/XMODEM modulo 16384, of the part between { and } when that is not empty."""
    opened = key.find(b"{")
    if opened >= 0:
        closed = key.find(b"}", opened + 1)
        if closed > opened + 1:
            key = key[opened + 1 : closed]
    return crc_hqx(key, 0) & (SLOTS - 1)


def _number(data: bytes, at: int, invalid: int, too_big: int) -> tuple[int, int]:
    """The decimal at `at` and the offset behind its CR LF; `_StoppedError` says which error is whose."""
    end = data.find(b"\r", at)
    if end < 0 or end + 1 == len(data):
        raise _StoppedError(too_big if len(data) - at > LINE_BYTES_MAX else OK, len(data) + 1)
    line = data[at:end]
    digits = line[1:] if line[:1] == b"-" else line
    if not digits or len(digits) > 18 or not digits.isdigit() or (digits[:1] == b"0" and line != b"0"):
        raise _StoppedError(invalid, 0)
    return int(line), end + 2


def _bulk(data: bytes, at: int, left: int, bulk_max: int) -> tuple[int, int, int]:
    """Start and end of the bytes of the bulk at `at`, and where the next begins; `left` counts this one."""
    if at >= len(data):
        raise _StoppedError(OK, at + left * BULK_BYTES_MIN)
    if data[at : at + 1] != b"$":
        raise _StoppedError(BAD_TYPE, data[at])
    try:
        length, body = _number(data, at + 1, BAD_BULK, BIG_BULK)
    except _StoppedError as stopped:
        if stopped.status == OK:
            stopped.needed = max(stopped.needed, at + left * BULK_BYTES_MIN)
        raise
    if not 0 <= length <= bulk_max:
        raise _StoppedError(BAD_BULK, 0)
    following = body + length + 2
    if following > len(data):
        raise _StoppedError(OK, following + (left - 1) * BULK_BYTES_MIN)
    return body, body + length, following


def _keys(name: bytes, argc: int) -> tuple[int, int, range]:
    """Id, kind and the positions of the keys, of a command of `argc` arguments that is called `name`."""
    command = _ids.get(name.lower(), -1) if len(name) <= NAME_BYTES_MAX else -1
    if command < 0:
        return -1, KIND_SLOW, range(0)
    _, kind, arity, first, last, step = _facts[command]
    if argc != arity if arity >= 0 else argc < -arity:
        return command, KIND_SLOW, range(0)
    if first <= 0:
        return command, kind, range(0)
    return command, kind, range(first, min((argc + last if last < 0 else last) + 1, argc), step)


def _common(values: list[int]) -> int:
    """What all the values are, NO_KEY without any, SEVERAL when they differ."""
    if not values:
        return NO_KEY
    return values[0] if all(value == values[0] for value in values) else SEVERAL


def place(keys: Sequence[bytes], groups: Sequence[int], *, one_slot: bool) -> tuple[int, int]:
    """Slot and group of a request with these keys, as a scan finds them; see `Scanner`."""
    slots = [key_slot(key) for key in keys]
    slot, group = _common(slots), _common([groups[slot] for slot in slots])
    return slot, SEVERAL if one_slot and slot == SEVERAL else group


class Scanner:
    """Scans under limits, with a map from slots to groups; keeps the commands it found until the next scan.

    `bulk_max` and `args_max` are Redis's limits on one argument's bytes and on their number;
    `commands_max` ends a scan early, so that what one call yields is bounded.  With `one_slot` keys in
    several slots count as several groups, whoever owns them (Redis Cluster's rule).
    """

    def __init__(
        self,
        bulk_max: int,
        args_max: int = 2**31 - 1,
        commands_max: int = 4096,
        *,
        one_slot: bool = False,
    ) -> None:
        assert commands_max <= ROUND_MAX
        self.one_slot = one_slot
        self.bulk_max = bulk_max
        self.args_max = args_max
        self.commands_max = commands_max
        self._groups: list[int] = [0] * SLOTS
        self._found: list[int] = []

    def set_groups(self, groups: Sequence[int]) -> None:
        """Sets which group owns each slot: 16384 numbers, 0 for none."""
        assert len(groups) == SLOTS
        self._groups = list(groups)

    def scan(self, data: bytes, start: int = 0) -> Head:
        """Finds the whole commands in `data` from `start`.

        Returns (consumed, status, needed, count, group, writes, last_id, cursor, left):
        `consumed` is where the first byte that is not part of a whole command stands.  With status OK
        the rest is unfinished and not worth a scan until `needed` bytes are there; `cursor` and `left`
        are for `probe`.  BAD_TYPE has the offending byte in `needed`.  `group` is the one that all go
        to; 0 if they can be sent without a thought but go to several; -1 if any needs a thought (slow,
        unknown, of wrong arity, without key or with keys in several groups).
        """
        groups = self._groups
        found: list[int] = []
        kinds: list[int] = []
        all_group, last_id, at = 0, -1, start
        consumed, status, needed, cursor, left = start, OK, 0, start, -1
        while len(kinds) < self.commands_max:
            consumed, needed, cursor, left = at, len(data) + 1, at, -1
            if at >= len(data):
                break
            if data[at : at + 1] != b"*":
                status = INLINE
                break
            try:
                argc, at = _number(data, at + 1, BAD_COUNT, BIG_COUNT)
                if argc > self.args_max:
                    raise _StoppedError(BAD_COUNT, 0)
            except _StoppedError as stopped:
                status = stopped.status
                break
            if argc <= 0:
                continue
            slots: list[int] = []
            command, kind, keys = -1, KIND_SLOW, range(0)
            try:
                for position in range(argc):
                    cursor, left = at, argc - position
                    body, end, at = _bulk(data, at, left, self.bulk_max)
                    if position == 0:
                        command, kind, keys = _keys(data[body:end], argc)
                    elif position in keys:
                        slots.append(key_slot(data[body:end]))
            except _StoppedError as stopped:
                status, needed = stopped.status, stopped.needed
                break
            group = _common([groups[slot] for slot in slots])
            if self.one_slot and _common(slots) == SEVERAL:
                group = SEVERAL
            if kind == KIND_SLOW or group <= 0:
                all_group = -1
            elif all_group >= 0:
                all_group = group if not kinds or all_group == group else 0
            last_id = command
            kinds.append(kind)
            found += (at, command, kind, _common(slots), argc, group)
            consumed, needed, cursor, left = at, len(data) + 1, at, -1
        self._found = found
        writes = int(KIND_WRITE in kinds)
        return consumed, status, needed, len(kinds), all_group, writes, last_id, cursor, left

    def commands(self) -> list[int]:
        """The last scan's commands, flat: end offset, id (-1 unknown), kind, slot, argc, group of each."""
        return self._found

    def partition(self, data: bytes, start: int) -> tuple[list[Part], list[int]]:
        """Splits the last scan's commands (all plain, of known groups) by group, in order.

        Returns the parts, in order of first appearance, and for each command the position of its part.
        """
        found = self._found
        at = start
        order: list[int] = []
        chunks: dict[int, list[bytes]] = {}
        writing: set[int] = set()
        for position in range(0, len(found), 6):
            end, group = found[position], found[position + 5]
            chunks.setdefault(group, []).append(data[at:end])
            order.append(list(chunks).index(group))
            if found[position + 2] == KIND_WRITE:
                writing.add(group)
            at = end
        parts = [(group, b"".join(some), len(some), group in writing) for group, some in chunks.items()]
        return parts, order

    def place(self, keys: Sequence[bytes]) -> tuple[int, int]:
        """Slot and group, as a scan would find them, of a request whose keys a scan doesn't see."""
        return place(keys, self._groups, one_slot=self.one_slot)

    def probe(self, data: bytes | bytearray, cursor: int, left: int) -> tuple[int, int, int, int]:
        """Goes on with an unfinished command: `left` bulks from `cursor`; a scan's end without its beginning.

        Returns (status, needed, cursor, left); `left` is 0 once the command is whole.
        """
        whole = bytes(data)
        try:
            while left > 0:
                cursor = _bulk(whole, cursor, left, self.bulk_max)[2]
                left -= 1
        except _StoppedError as stopped:
            return stopped.status, stopped.needed, cursor, left
        return OK, cursor, cursor, left


def scan_args(data: bytes) -> tuple[list[int], list[int]]:
    """Takes whole, valid requests apart: commands flat (id, slot, argc), arguments flat (start, end).

    Raises ValueError when `data` is anything else.  Id and slot are as in `Scanner.commands`, but that
    the id of a request whose arguments can't be copied with their framing has LOOSE added.
    """
    commands: list[int] = []
    args: list[int] = []
    at = 0
    try:
        while at < len(data):
            if data[at : at + 1] != b"*":
                raise _StoppedError(INLINE, 0)
            argc, at = _number(data, at + 1, BAD_COUNT, BIG_COUNT)
            if argc <= 0:
                continue
            command, keys, loose = -1, range(0), 0
            slots: list[int] = []
            for position in range(argc):
                body, end, at = _bulk(data, at, argc - position, len(data))
                args += (body, end)
                if data[body - 1 : body] != b"\n" or data[end:at] != b"\r\n":
                    loose = LOOSE
                if position == 0:
                    command, _, keys = _keys(data[body:end], argc)
                elif position in keys:
                    slots.append(key_slot(data[body:end]))
            commands += (command if command < 0 else command | loose, _common(slots), argc)
    except _StoppedError as stopped:
        raise ValueError("not whole, valid requests") from stopped
    return commands, args
