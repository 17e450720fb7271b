"""Who a group consists of, and what counts as agreed among them (Raft §6, thesis §4.3).

A configuration is simple, or *joint* while voters change: then `outgoing` are the voters of C_old, and
elections and commitment need a majority of both lists.  Learners get everything and count for nothing
(thesis §4.2.1); an outgoing voter that stays as a learner stands in both lists.  A configuration is a value;
which one counts when is the business of `membership`.

    encoded = version u8, voters u16, outgoing u16, learners u16, then that many ids u64, in this order

Little-endian.  It is what an EntryKind.CONFIGURATION entry and a snapshot carry.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from redraft.base.errors import DamagedError
from redraft.raft.quorum import Number, Tally, reached, tally

_HEAD = struct.Struct("<BHHH")
_VERSION = 1


class Configuration(NamedTuple):
    """The voters, learners and, while joint, outgoing voters of a group, by node id.

    The empty one is that of a replica that was told nothing yet: it waits for its leader's snapshot.
    """

    voters: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()

    @property
    def is_joint(self) -> bool:
        """Whether a change of voters is on (C_old,new)."""
        return bool(self.outgoing)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Everybody who gets the log, in order of id."""
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners}))

    @property
    def sole_voter(self) -> int:
        """The voter that needs nobody's consent, 0 if there are several."""
        return self.voters[0] if len(self.voters) == 1 and not self.outgoing else 0

    def is_voter(self, node_id: int) -> bool:
        """Whether the node's vote and copy count."""
        return node_id in self.voters or node_id in self.outgoing

    def reached(self, value_of: Callable[[int], Number]) -> Number:
        """The highest value that a majority of the voters has reached; while joint, a majority of both."""
        value = reached([value_of(voter) for voter in self.voters])
        if self.outgoing:
            value = min(value, reached([value_of(voter) for voter in self.outgoing]))
        return value

    def tally(self, votes: Mapping[int, bool]) -> Tally:
        """How an election stands; votes of others than voters don't count."""
        result = tally(votes, self.voters)
        if self.outgoing and result is not Tally.LOST:
            old = tally(votes, self.outgoing)
            return old if result is Tally.WON or old is Tally.LOST else result
        return result

    def encode(self) -> bytes:
        """Return the bytes of the grammar above."""
        ids = (*self.voters, *self.outgoing, *self.learners)
        head = _HEAD.pack(_VERSION, len(self.voters), len(self.outgoing), len(self.learners))
        return head + struct.pack(f"<{len(ids)}Q", *ids)

    @classmethod
    def decode(cls, data: bytes) -> Configuration:
        """Return what `encode` was given; raises DamagedError for what can't be a configuration."""
        try:
            version, voters, outgoing, learners = _HEAD.unpack_from(data)
            ids = struct.unpack(f"<{voters + outgoing + learners}Q", data[_HEAD.size :])
        except struct.error as error:
            raise DamagedError(f"a configuration of {len(data)} bytes is damaged: {error}") from None
        found = cls(ids[:voters], ids[voters : voters + outgoing], ids[voters + outgoing :])
        if version != _VERSION or not found.is_sound:
            raise DamagedError(f"no configuration: version {version}, {found}")
        return found

    @property
    def is_sound(self) -> bool:
        """Whether this can be a group's configuration: ids above 0, each with one role to come."""
        ids = (*self.voters, *self.learners)
        return (
            0 not in (*ids, *self.outgoing)
            and len(set(ids)) == len(ids)
            and len(set(self.outgoing)) == len(self.outgoing)
            and (bool(self.voters) or not (self.outgoing or self.learners))
        )
