"""Rounds: the commands a connection has out at once, split over groups and put together again.

A connection has one round out at most.  A round's commands reach each group as one request, in the
order sent; its replies go back in the order of the commands, whatever the groups' order.

    Whole   all commands go to one group: the buffer itself is the request
    Split   all go to groups by their key, nothing needs a thought: the scanner divided the bytes
    Round   anything: local replies, groups, commands that are divided themselves
    Gather  one question to several groups, for commands that mean the whole keyspace

Must not know: sockets, how a command is routed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from redraft.accel.scan import Part
from redraft.replica.request import Request
from redraft.server.shares import Share, joint_reply


class Client(Protocol):
    """Who gets the replies of a round."""

    proto: int

    def answer(self, replies: list[bytes]) -> None:
        """Take the round's replies, in order; the round is over."""
        ...


Submit = Callable[[Request], None]


class Whole(Request):
    """A round that is one request."""

    __slots__ = ("client",)

    def __init__(self, client: Client, group: int, data: bytes, count: int, proto: int, write: bool) -> None:
        # the hot path: no call of the parent's
        self.client = client
        self.group = group
        self.data = data
        self.count = count
        self.proto = proto
        self.write = write
        self.submitted_ms = 0.0

    def complete(self, replies: list[bytes]) -> None:
        """Pass the replies on."""
        self.client.answer(replies)


class _SplitPart(Request):
    """What of a Split goes to one group."""

    __slots__ = ("replies", "split")

    def __init__(self, split: Split, part: Part, proto: int) -> None:
        group, data, count, write = part
        Request.__init__(self, group, data, count, proto, write)
        self.split = split
        self.replies: list[bytes] = []

    def complete(self, replies: list[bytes]) -> None:
        self.replies = replies
        self.split.part_done()


class Split:
    """A round of plain commands for several groups; `order` has each command's part."""

    __slots__ = ("_client", "_order", "_parts", "_waiting")

    def __init__(self, client: Client, parts: list[Part], order: list[int]) -> None:
        self._client = client
        self._order = order
        self._waiting = len(parts)
        self._parts = [_SplitPart(self, part, client.proto) for part in parts]

    def submit(self, submit: Submit) -> None:
        """Send the parts on their ways."""
        for part in self._parts:
            submit(part)

    def part_done(self) -> None:
        """One group has answered."""
        self._waiting -= 1
        if not self._waiting:
            replies = [iter(part.replies) for part in self._parts]
            self._client.answer([next(replies[part]) for part in self._order])


class Joint:
    """The reply, at place `at` of the round's, of a command that was divided into so many shares."""

    __slots__ = ("_at", "_name", "_replies", "_shares")

    def __init__(self, at: int, name: bytes, shares: int) -> None:
        self._at = at
        self._name = name
        self._replies: list[bytes] = []
        self._shares = shares

    def divide(self, into: int) -> None:
        """One of the shares was divided again."""
        self._shares += into - 1

    def add(self, reply: bytes, replies: list[bytes]) -> None:
        """Take the reply to a share; the last one decides what the round replies."""
        self._replies.append(reply)
        if len(self._replies) == self._shares:
            replies[self._at] = joint_reply(self._name, self._replies)


Target = int | Joint
"""Where a reply belongs: a place among the round's, or a share's."""


def fill(replies: list[bytes], targets: Iterable[Target], answers: Iterable[bytes]) -> None:
    """Put answers where they belong."""
    for target, answer in zip(targets, answers, strict=True):
        if isinstance(target, Joint):
            target.add(answer, replies)
        else:
            replies[target] = answer


class _RoundPart(Request):
    """What of a Round goes to one group; `targets` says where each reply belongs."""

    __slots__ = ("chunks", "round", "targets")

    def __init__(self, owner: Round, group: int, proto: int) -> None:
        Request.__init__(self, group, b"", 0, proto, False)
        self.round = owner
        self.chunks: list[bytes] = []
        self.targets: list[Target] = []

    def complete(self, replies: list[bytes]) -> None:
        self.round.part_done(self.targets, replies)


class Round:
    """A round put together command by command; `submit` ends the putting together."""

    __slots__ = ("_client", "_parts", "_waiting", "replies")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._parts: dict[int, _RoundPart] = {}
        self._waiting = 0
        self.replies: list[bytes] = []

    @property
    def is_answered(self) -> bool:
        """Whether no group has been asked for anything so far."""
        return not self._parts

    def add_reply(self, reply: bytes) -> None:
        """The next command is answered already."""
        self.replies.append(reply)

    def add_command(self, group: int, data: bytes, write: bool) -> None:
        """The next command goes to a group."""
        self._add(group, data, write, len(self.replies))
        self.replies.append(b"")

    def add_shares(self, name: bytes, shares: Sequence[Share], write: bool) -> None:
        """The next command was divided over groups."""
        target = Joint(len(self.replies), name, len(shares))
        self.replies.append(b"")
        for group, data in shares:
            self._add(group, data, write, target)

    def _add(self, group: int, data: bytes, write: bool, target: Target) -> None:
        part = self._parts.get(group)
        if part is None:
            part = self._parts[group] = _RoundPart(self, group, self._client.proto)
        part.chunks.append(data)
        part.targets.append(target)
        part.write |= write

    def submit(self, submit: Submit) -> None:
        """Send the parts on their ways; a round without any is answered at once."""
        parts = list(self._parts.values())
        self._waiting = len(parts)
        if not parts:
            self._client.answer(self.replies)
        for part in parts:
            part.count = len(part.targets)
            part.data = b"".join(part.chunks)
            submit(part)

    def part_done(self, targets: list[Target], answers: list[bytes]) -> None:
        """One group has answered."""
        fill(self.replies, targets, answers)
        self._waiting -= 1
        if not self._waiting:
            self._client.answer(self.replies)


class _GatherPart(Request):
    __slots__ = ("at", "gather")

    def __init__(self, gather: Gather, at: int, group: int, data: bytes, proto: int, write: bool) -> None:
        Request.__init__(self, group, data, 1, proto, write)
        self.gather = gather
        self.at = at

    def complete(self, replies: list[bytes]) -> None:
        self.gather.part_done(self.at, replies[0])


class Gather:
    """One command to each of several groups; `then` gets their replies, in the order of the questions."""

    __slots__ = ("_parts", "_replies", "_then", "_waiting")

    def __init__(
        self,
        questions: Sequence[tuple[int, bytes]],
        proto: int,
        write: bool,
        then: Callable[[list[bytes]], None],
    ) -> None:
        assert questions
        self._then = then
        self._waiting = len(questions)
        self._replies = [b""] * len(questions)
        self._parts = [
            _GatherPart(self, at, group, data, proto, write) for at, (group, data) in enumerate(questions)
        ]

    @property
    def groups(self) -> list[int]:
        """Who was asked; once all have replied, who did: slots may have moved meanwhile."""
        return [part.group for part in self._parts]

    def submit(self, submit: Submit) -> None:
        """Ask."""
        for part in self._parts:
            submit(part)

    def part_done(self, at: int, reply: bytes) -> None:
        """One group has answered."""
        self._replies[at] = reply
        self._waiting -= 1
        if not self._waiting:
            self._then(self._replies)
