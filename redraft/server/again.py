"""Commands that a group refused because their slots have moved, or are about to: sent on, in their order.

A group that does not serve a command's slots refuses it, and all that the connection sent behind it; so what
is refused is the end of a request.  It is placed anew by the node's map of now, as a request for each group.
While the map still names the group that has refused, it waits: for another map, and a little while, for the
group may serve the slots again.  After `leader_wait_ms` it was not executed, and the client is told so.

Always true: at any time commands about one slot are with one group, so that they are carried out in the order
sent; each is carried out once, for a refused command has left nothing behind; the request is completed
once, whether its client is still there or not.  What waits is bounded: a connection has one round out.

Must not know connections, ports or how groups come to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redraft.accel.scan import LOOSE, key_slot, scan_args
from redraft.commands.reply import NULL_ARRAY, REFUSED
from redraft.commands.slotted import slots_of
from redraft.commands.table import COMMANDS
from redraft.commands.transaction import watched_keys
from redraft.replica.request import TRYAGAIN, Request
from redraft.server import words
from redraft.server.backend import Groups
from redraft.server.limits import AGAIN_MS, AGAIN_MS_MAX
from redraft.server.rounds import Joint, Target, fill
from redraft.server.shares import DIVISIBLE, Share, shares_by_key, shares_by_slot


class _Owed:
    """A request that was refused in part: the replies it has, and how much of it waits or is out (`open`)."""

    __slots__ = ("_again", "_request", "_size", "open", "proto", "replies", "since_ms", "write")

    def __init__(self, again: Again, request: Request, kept: Sequence[bytes]) -> None:
        self._again = again
        self._request = request
        self._size = len(request.data) + sum(map(len, kept))
        self.proto = request.proto
        self.write = request.write
        self.since_ms = request.submitted_ms
        self.replies = [*kept, *[b""] * (request.count - len(kept))]
        self.open = 1
        again.bytes_waiting += self._size

    def answered(self, group: int, targets: list[Target], replies: list[bytes]) -> None:
        """Take a group's replies; the request counts as that group's from now on."""
        fill(self.replies, targets, replies)
        self._request.group = group
        self.close()

    def close(self) -> None:
        """One thing less is open."""
        self.open -= 1
        if not self.open:
            self._again.bytes_waiting -= self._size
            self._request.complete(self.replies)


class _Piece(Request):
    """What of an owed request one group is asked."""

    __slots__ = ("owed", "targets")

    def __init__(self, owed: _Owed, group: int) -> None:
        Request.__init__(self, group, b"", 0, owed.proto, owed.write)
        self.owed = owed
        self.targets: list[Target] = []

    def complete(self, replies: list[bytes]) -> None:
        self.owed.answered(self.group, self.targets, replies)


class _Refused(NamedTuple):
    """Commands of an owed request that `group` has refused together."""

    owed: _Owed
    group: int
    targets: list[Target]
    commands: list[bytes]
    due_ms: float


class Again:
    """Sees to the refused commands of a node's clients; `node.clients` may be one, or pass on to one."""

    __slots__ = ("_due_ms", "_node", "_refused", "bytes_waiting")

    def __init__(self, node: Groups) -> None:
        self._node = node
        self._refused: list[_Refused] = []
        self._due_ms = 0.0  # none is due before
        self.bytes_waiting = 0

    @property
    def waiting(self) -> bool:
        """Whether anything waits for its slots."""
        return bool(self._refused)

    def refused(self, request: Request, replies: list[bytes]) -> None:
        """Take a request whose last replies are REFUSED; it is completed later, or in this call."""
        kept = replies.index(REFUSED)
        targets: list[Target]
        if isinstance(request, _Piece):
            owed, targets = request.owed, request.targets
            fill(owed.replies, targets[:kept], replies[:kept])
        else:
            owed, targets = _Owed(self, request, replies[:kept]), list(range(request.count))
        now = self._node.now_ms()
        due_ms = now + min(max(AGAIN_MS, (now - owed.since_ms) / 2), AGAIN_MS_MAX)
        commands = commands_of(request.data)
        assert len(commands) == len(targets)
        refused = _Refused(owed, request.group, targets[kept:], commands[kept:], due_ms)
        if not self._send_elsewhere(refused):
            self._wait(refused)

    def map_changed(self) -> None:
        """The node's map is another: what has another group now goes there."""
        self._refused, before = [], self._refused
        for refused in before:
            if not self._send_elsewhere(refused):
                self._wait(refused)

    def look(self) -> bool:
        """To be called often while anything waits: asks again those whose time has come, if any; says so."""
        now = self._node.now_ms()
        if now < self._due_ms:
            return False
        self._refused, before = [], self._refused
        for refused in before:
            if refused.due_ms > now:
                self._wait(refused)
            else:
                self._send(refused)
        return True

    def _wait(self, refused: _Refused) -> None:
        self._due_ms = min(self._due_ms, refused.due_ms) if self._refused else refused.due_ms
        self._refused.append(refused)

    def _send_elsewhere(self, refused: _Refused) -> bool:
        """Send the commands on, unless the first of them would go where it has just been."""
        where = place(refused.commands[0], self._node.group_of_slot, refused.group, refused.owed.proto)
        if isinstance(where, list) and all(group == refused.group for group, _ in where):
            return False
        self._send(refused)
        return True

    def _send(self, refused: _Refused) -> None:
        owed, node = refused.owed, self._node
        late = node.now_ms() - owed.since_ms > node.config.leader_wait_ms
        pieces: dict[int, _Piece] = {}
        chunks: dict[int, list[bytes]] = {}
        for target, command in zip(refused.targets, refused.commands, strict=True):
            where = TRYAGAIN if late else place(command, node.group_of_slot, refused.group, owed.proto)
            if isinstance(where, bytes):
                fill(owed.replies, (target,), (where,))
                continue
            for share_of, (group, data) in zip(_divided(target, command, where), where, strict=True):
                if group not in pieces:
                    pieces[group], chunks[group] = _Piece(owed, group), []
                pieces[group].targets.append(share_of)
                chunks[group].append(data)
        owed.open += len(pieces)
        for group, piece in pieces.items():
            piece.count = len(piece.targets)
            piece.data = b"".join(chunks[group])
            node.submit(piece)
        owed.close()


def place(command: bytes, owners: Sequence[int], refuser: int, proto: int) -> list[Share] | bytes:
    """Return where a refused command goes by a map, in shares if it has to; or its reply.

    `refuser` is the group that has refused it.
    """
    (number, slot, _argc), spans = scan_args(command)
    args = [command[spans[at] : spans[at + 1]] for at in range(0, len(spans), 2)]
    groups = {owners[each] for each in slots_of(number, slot, args)}
    if not groups:
        return [(refuser, command)]
    if 0 in groups:
        return words.SLOT_UNSERVED
    name = COMMANDS[number & (LOOSE - 1)].name
    if name == b"exec" and any(owners[key_slot(key)] != refuser for key in watched_keys(args)):
        return NULL_ARRAY[proto]  # what they are watched by is the refuser's; moving counts as a change
    if len(groups) == 1:
        return [(groups.pop(), command)]
    if name in DIVISIBLE:
        return shares_by_key(args, owners)
    if name == b"redraft":
        return shares_by_slot(args, owners)
    return words.CROSSSLOT


def _divided(target: Target, command: bytes, shares: list[Share]) -> list[Target]:
    """Where the replies to a command's shares belong, if that to the command belongs to `target`."""
    if isinstance(target, Joint):
        target.divide(len(shares))
    elif len(shares) > 1:
        args = scan_args(command)[1]
        at = 6 if command[args[0] : args[1]].lower() == b"redraft" else 0  # behind REDRAFT SLOTS ranges
        target = Joint(target, command[args[at] : args[at + 1]].lower(), len(shares))
    return [target] * len(shares)


def commands_of(requests: bytes) -> list[bytes]:
    """Cut requests apart, each with its framing."""
    commands, spans = scan_args(requests)
    found = []
    begin = at = 0
    for argc in commands[2::3]:
        at += 2 * argc
        end = spans[at - 1] + 2
        found.append(requests[begin:end])
        begin = end
    return found
