"""What clients are told of all groups: looked at a few groups at a time, once for all who ask.

Ten thousand groups are too many to look at whenever a client asks (CLUSTER SLOTS, SHARDS, NODES).  A *page*
is what was made of them: it keeps a piece for each group, makes anew those of which something has changed,
and has its content ready for everybody until the next change.

Always true: a content is of one `View`, so no slot is in it twice or missing; who asks gets the content of a
view not older than the question; a page that is being made is finished, so changes that come all the time
keep nobody waiting for ever.  In one cycle of the reactor at most `GROUPS_PER_TURN` of a page are looked at
and about `BYTES_PER_TURN` of replies given out; who has to wait is busy, as with a round, so replies stay
in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, TypeVar

from redraft.server.encode import Encoded, Value, encode
from redraft.server.leaders import acting
from redraft.server.outcome import Outcome
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.frontend import FrontEnd
    from redraft.topology.cluster_map import ClusterMap, Group

GROUPS_PER_TURN: Final = 1024
"""Groups looked at before all connections have their turn: a few milliseconds when all are made anew."""
BYTES_PER_TURN: Final = 8 * 1024 * 1024
"""Bytes of contents given out before all connections have their turn; one reply may be larger."""
FAIL_TIMEOUTS: Final = 2
"""A peer that is silent for so many election time-outs has failed: groups elect other leaders meanwhile."""

Content = TypeVar("Content")
Render = Callable[["Connection", list[bytes], Content], Value]
"""Makes a reply of a page's content: (connection, arguments, content); raises ReplyError."""


class View(NamedTuple):
    """What everything shown of the groups follows from, together with who leads them."""

    leaders_version: int
    cluster: ClusterMap
    group_of_slot: Sequence[int]
    answering: frozenset[int]
    """The nodes that answer."""
    failed: frozenset[int]
    """The nodes that have been silent for long."""

    def is_as(self, other: View | None) -> bool:
        """Whether nothing that is shown has changed since the other one."""
        return (
            other is not None
            and self.leaders_version == other.leaders_version
            and self.cluster is other.cluster
            and self.group_of_slot is other.group_of_slot
            and self.answering == other.answering
            and self.failed == other.failed
        )


class Sighting(NamedTuple):
    """A group as it was looked at."""

    group: Group
    leader: int
    """The last known one, 0 while none was known."""
    acting: int
    """Where clients are sent: the leader, or who stands in for it."""


class Page(Generic[Content]):
    """Something made of all groups; `content` is of `view`, None until it was made once."""

    of_proto: ClassVar[bool] = True
    """Whether it is another one in each protocol."""

    def __init__(self, proto: int) -> None:
        self.proto = proto
        self.view: View | None = None
        self.content: Content | None = None

    def begin(self, view: View) -> None:
        """Everything that is not of a single group, before the groups are taken."""
        raise NotImplementedError

    def take(self, sightings: Sequence[Sighting]) -> None:
        """Take up the next groups, in order of their ids."""
        raise NotImplementedError

    def finish(self) -> Content:
        """All groups were taken."""
        raise NotImplementedError


class _Asked(NamedTuple):
    connection: Connection
    args: list[bytes]
    render: Render[Any]

    def answer(self, content: object) -> Value:
        """The reply, or the error that is one."""
        return self.render(self.connection, self.args, content)


class _Making:
    """A page that is being made: how far it is, who waits for it, and who asked too late for its view."""

    __slots__ = ("_groups", "_page", "_taken", "late", "view", "waiting")

    def __init__(self, page: Page[Any], view: View) -> None:
        self._page = page
        self._groups = sorted(view.cluster.groups, key=_number)
        self._taken = 0
        self.view = view
        self.waiting: list[_Asked] = []
        self.late: list[_Asked] = []
        page.begin(view)

    def step(self, leader_of: Callable[[int], int]) -> bool:
        """Look at the next groups; True when that were the last ones."""
        answers = self.view.answering.__contains__
        groups = self._groups[self._taken : self._taken + GROUPS_PER_TURN]
        self._taken += len(groups)
        sightings = []
        for group in groups:
            leader = leader_of(group.group_id)
            sightings.append(Sighting(group, leader, acting(leader, group.voters, answers)))
        self._page.take(sightings)
        if self._taken < len(self._groups):
            return False
        self._page.content, self._page.view = self._page.finish(), self.view
        return True


def _number(group: Group) -> int:
    return group.group_id


class Survey:
    """All pages of a front end, and who waits for them."""

    __slots__ = ("_due", "_front", "_given", "_making", "_pages", "_patient", "_stepped", "_view")

    def __init__(self, front: FrontEnd) -> None:
        self._front = front
        self._pages: dict[tuple[type[Page[Any]], int], Page[Any]] = {}
        self._making: dict[Page[Any], _Making] = {}
        self._due: deque[tuple[_Asked, object]] = deque()
        self._view: View | None = None  # as of this cycle
        self._given = 0  # bytes, in this cycle
        self._stepped = False  # in this cycle
        self._patient = True

    def view(self) -> View:
        """What there is to see now."""
        if self._view is None:
            self._view = self._look()
        return self._view

    def _look(self) -> View:
        node, config = self._front.node, self._front.config
        contacts = {member.node_id: node.heartbeat.contact(member.node_id) for member in node.members}
        silent_ms_max = FAIL_TIMEOUTS * config.election_timeout_ms
        return View(
            node.leaders_version,
            node.cluster,
            node.group_of_slot,
            frozenset(each for each, contact in contacts.items() if contact.answers),
            frozenset(
                each
                for each, contact in contacts.items()
                if not contact.answers and contact.silent_ms > silent_ms_max
            ),
        )

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """While the block runs pages are made at once, however many groups there are (EXEC can't wait)."""
        self._patient = False
        try:
            yield
        finally:
            self._patient = True

    def ask(
        self, kind: type[Page[Content]], connection: Connection, args: list[bytes], render: Render[Content]
    ) -> Value | Outcome:
        """Reply with what `render` makes of a page's content: now, or as soon as it is made."""
        page, view = self._page(kind, connection.proto), self.view()
        asked = _Asked(connection, args, render)
        if not self._is_made(page, view):
            making = self._making[page]
            (making.waiting if view.is_as(making.view) else making.late).append(asked)
            return self._later(connection)
        if self._patient and self._given > BYTES_PER_TURN:
            self._due.append((asked, page.content))
            return self._later(connection)
        value = asked.answer(page.content)
        self._given += len(value.data) if isinstance(value, Encoded) else 0
        return value

    def _page(self, kind: type[Page[Content]], proto: int) -> Page[Content]:
        key = kind, proto if kind.of_proto else 0
        page: Page[Content] | None = self._pages.get(key)
        if page is None:
            page = self._pages[key] = kind(proto)
        return page

    def _is_made(self, page: Page[Any], view: View) -> bool:
        """Whether a page is of a view; if not, it is on its way, or made in this call if that can't wait."""
        while not view.is_as(page.view):
            if page not in self._making:
                self._making[page] = _Making(page, view)
            if self._stepped and self._patient:
                return False
            self._step(page)
        return True

    def _step(self, page: Page[Any]) -> None:
        """Go on making a page; when it is done, what waits for it is due."""
        self._stepped = True
        making = self._making[page]
        if not making.step(self._front.leaders.last):
            return
        del self._making[page]
        self._due += ((each, page.content) for each in making.waiting)
        if making.late:
            again = self._making[page] = _Making(page, self.view())
            again.waiting = making.late

    def _later(self, connection: Connection) -> Outcome:
        connection.busy = True
        self._front.reactor.wake()
        return Outcome.LATER

    def turn(self) -> None:
        """To be called at the end of each cycle: does a piece of what is to do."""
        self._view, self._given = None, 0
        if self._making and not self._stepped:
            self._step(next(iter(self._making)))
        while self._due and self._given <= BYTES_PER_TURN:
            asked, content = self._due.popleft()
            if not asked.connection.closed:
                self._give(asked, content)
        if self._making or self._due:
            self._front.reactor.wake()
        self._view, self._given, self._stepped = None, 0, False

    def _give(self, asked: _Asked, content: object) -> None:
        connection = asked.connection
        try:
            reply = encode(asked.answer(content), connection.proto)
        except ReplyError as wrong:
            reply = wrong.reply
        self._given += len(reply)
        connection.reply(reply)
