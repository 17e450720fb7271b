"""The origin of writes: requests of this node's clients, made into parts and followed to their answer.

There is one `Origin` per group on every node, whether the node leads the group, follows it or has no
replica of it.  Requests collect in `pending`; `form` freezes what has collected into a part with the
next sequence.  A part stays in flight until the group's log answers it; whenever the leader (or the
link to it) changes it is sent again, byte for byte the same.  Always true: a sequence is given once;
`acknowledged_below` covers only sequences whose requests were answered.

Knows nothing of sockets or Raft: the node asks what to send and says what came back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from redraft.replica.part import encode_part, mark
from redraft.replica.request import Refuse, Request, deliver, not_executed

CLUSTERDOWN = b"-CLUSTERDOWN The group of this slot has no leader; not executed, safe to retry\r\n"
TIMEOUT = b"-TIMEOUT no answer from a quorum in time; outcome unknown\r\n"
MISCONF = (
    b"-MISCONF Errors writing to the log: the disk is full. Not executed; free space on the leader's disk\r\n"
)

KEPT_BYTES_MAX = 64 * 1024
"""An idle origin acknowledges replies of more bytes by an empty part: every replica keeps them till then."""


@dataclass(slots=True)
class SentPart:
    """A part in flight: its frozen bytes and whom to answer.

    `since_ms`: when its oldest request came; `route`: where it was last sent.
    """

    sequence: int
    data: bytes
    requests: list[Request]
    since_ms: float
    route: object = None
    sends: int = 0


class Origin:
    """The writes of one node to one group, on their way and waiting."""

    __slots__ = (
        "_bytes_max",
        "_commands_max",
        "_incarnation",
        "_low",
        "_marked",
        "_next",
        "_node_id",
        "_refuse",
        "_registered",
        "inflight",
        "owes_acknowledgement",
        "pending",
        "pending_bytes",
    )

    def __init__(
        self,
        node_id: int,
        incarnation: int,
        *,
        bytes_max: int,
        commands_max: int,
        refuse: Refuse = not_executed,
    ) -> None:
        self._node_id = node_id
        self._incarnation = incarnation
        self._bytes_max = bytes_max
        self._commands_max = commands_max
        self._refuse = refuse
        self._next = 1
        self._low = 1
        self._marked = 1  # acknowledged_below of the last part
        self._registered = False
        self.owes_acknowledgement = False
        self.pending: deque[Request] = deque()
        self.pending_bytes = 0
        self.inflight: dict[int, SentPart] = {}

    def submit(self, request: Request) -> None:
        """Queue a request for the next part."""
        self.pending.append(request)
        self.pending_bytes += len(request.data)

    def form(self, now_ms: float) -> SentPart | None:
        """Freeze what is pending into the next part, up to the batch limits; None when nothing is pending."""
        return self._form(now_ms) if self.pending else None

    def acknowledge(self, now_ms: float) -> SentPart:
        """Form a part without commands, so that the group forgets the replies of those before it."""
        assert self.owes_acknowledgement
        return self._form(now_ms)

    def _form(self, now_ms: float) -> SentPart:
        pending = self.pending
        requests: list[Request] = []
        size = commands = 0
        while pending and size < self._bytes_max and commands < self._commands_max:
            request = pending.popleft()
            requests.append(request)
            size += len(request.data)
            commands += request.count
        self.pending_bytes -= size
        self.owes_acknowledgement = False
        self._marked = self._acknowledged_below()
        data = encode_part(
            self._node_id,
            self._incarnation,
            self._next,
            self._marked,
            not self._registered,
            [mark(request.count, request.proto) for request in requests],
            [request.data for request in requests],
        )
        since_ms = requests[0].submitted_ms if requests else now_ms
        part = SentPart(self._next, data, requests, since_ms)
        self.inflight[self._next] = part
        self._next += 1
        return part

    def resolve(self, sequence: int, replies: list[bytes]) -> int:
        """The group's log answered `sequence`: hand each request its replies; returns how many requests.

        A second answer is ignored.
        """
        part = self.inflight.pop(sequence, None)
        if part is None:
            return 0
        self._registered = True
        deliver(part.requests, replies, self._refuse)
        if not self.inflight and not self.pending:
            several = self._next - self._marked > 1
            self.owes_acknowledgement = several or sum(map(len, replies)) > KEPT_BYTES_MAX
        return len(part.requests)

    def refuse(self, sequence: int, error: bytes) -> bool:
        """The leader kept a part out of its log: fail it if it was never sent elsewhere; say if so.

        A part that was sent before may stand in another leader's log, so its outcome is still open.
        """
        part = self.inflight.get(sequence)
        if part is None or part.sends > 1:
            return False
        del self.inflight[sequence]
        for request in part.requests:
            request.fail(error)
        return True

    def unsent(self, route: object) -> list[SentPart]:
        """Return the parts not yet sent on `route`, in order of their sequence."""
        return [part for part in self.inflight.values() if part.route != route]

    def expire(self, now_ms: float, leader_wait_ms: float, answer_wait_ms: float) -> None:
        """Answer what waited too long: pending requests were not executed, parts in flight may have been."""
        pending = self.pending
        while pending and now_ms - pending[0].submitted_ms > leader_wait_ms:
            request = pending.popleft()
            self.pending_bytes -= len(request.data)
            request.fail(CLUSTERDOWN)
        late = [part for part in self.inflight.values() if now_ms - part.since_ms > answer_wait_ms]
        for part in late:
            del self.inflight[part.sequence]
            for request in part.requests:
                request.fail(TIMEOUT if part.sends else CLUSTERDOWN)

    def end(self) -> list[Request]:
        """The group is gone: fail what may have been executed; returns the other requests, in order."""
        inflight, self.inflight = self.inflight, {}
        unsent = [request for part in inflight.values() if not part.sends for request in part.requests]
        unsent += self.pending
        self.pending.clear()
        self.pending_bytes = 0
        self.owes_acknowledgement = False
        for part in inflight.values():
            if part.sends:
                for request in part.requests:
                    request.fail(TIMEOUT)
        return unsent

    def _acknowledged_below(self) -> int:
        while self._low < self._next and self._low not in self.inflight:
            self._low += 1
        return self._low
