"""What a handler is given besides its arguments.

All a command may depend on is here and in its arguments: state, the entry's clock and seed, the
reply protocol.  A context is made once per replica and set for each batch.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence

from redraft.accel.scan import key_slot
from redraft.commands.keyspace import Keyspace
from redraft.commands.splitmix import SplitMix64
from redraft.topology.slots import SLOTS


class Context:
    """State, time and chance for the commands of one replica.

    `proto` (2 or 3) and `slot` (of all keys of the request; -1 without keys, -2 when they differ)
    change from command to command, the rest per batch.  `bugs` collects what handlers raised that
    they should not have: its reader logs and clears it.
    """

    __slots__ = (
        "_entry_random",
        "_read_random",
        "bugs",
        "deny_oom",
        "keyspace",
        "now_ms",
        "proto",
        "seed",
        "slot",
        "whole",
        "write",
    )

    def __init__(self, keyspace: Keyspace) -> None:
        self.keyspace = keyspace
        self.proto = 2
        self.slot = -1
        self.whole: Sequence[int] | None = None
        """The slots that a command on the whole keyspace means; None: those that the group serves."""
        self.bugs: list[BaseException] = []
        self._read_random = SplitMix64(0)
        self._entry_random: SplitMix64 | None = None
        self.begin(now_ms=0, write=False)

    def begin(self, *, now_ms: int, write: bool, seed: int = 0, deny_oom: bool = False) -> None:
        """Set the context for one entry, or for one batch of reads.

        `now_ms` is the entry's clock: unix time in milliseconds, for a read that of the group.  With
        `write` keys past their deadline are removed when met, without it they raise ExpiredKeyError.
        `deny_oom` refuses commands that may need memory; it has to ride in the entry.
        """
        self.now_ms = now_ms
        self.write = write
        self.seed = seed
        self.deny_oom = deny_oom
        self._entry_random = None

    @property
    def random(self) -> SplitMix64:
        """Random numbers: one sequence for all commands of an entry; for reads one that goes on and on."""
        if not self.write:
            return self._read_random
        if self._entry_random is None:
            self._entry_random = SplitMix64(self.seed)
        return self._entry_random

    def slot_of(self, key: bytes) -> int:
        """Return the slot of one of the request's keys."""
        return self.slot if self.slot >= 0 else key_slot(key)

    def slots_of(self, keys: Sequence[bytes]) -> list[int]:
        """Return the slots of several of the request's keys."""
        if self.slot >= 0:
            return [self.slot] * len(keys)
        return [key_slot(key) if b"{" in key else crc_hqx(key, 0) % SLOTS for key in keys]
