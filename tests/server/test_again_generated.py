"""Random pipelines while slots freeze, move and come back: commands once, in order, replies in place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from redraft.accel.scan import key_slot
from redraft.replica.request import TRYAGAIN
from redraft.server import words
from redraft.server.queueing import split_request
from tests.server.harness import Client, Site, request, whole_reply
from tests.server.moving import MovingNode

LISTS = [b"list%d" % number for number in range(6)]
MARKERS = [b"m%d" % number for number in range(8)]
COUNTER = b"counter"
NOT_DONE = (TRYAGAIN, words.CROSSSLOT)
STEPS = 1000

Check = Callable[[bytes], None]
Asked = tuple[list[bytes], Check]


class World:
    """What clients have pushed, where it was said to stand, and what was said not to have been done."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.node = MovingNode()
        self.site = Site(self.node)
        self.said: dict[bytes, int] = {}
        self.denied: set[bytes] = set()
        self.sent: dict[tuple[int, bytes], list[bytes]] = {}
        self.increments = 0
        self.born = 0
        self.doubtful = 0  # increments of which nobody heard any more
        self.actors: list[Actor] = []
        keys = [*LISTS, *MARKERS, COUNTER, *(b"own%d" % number for number in range(6))]
        self.slots = sorted({key_slot(key) for key in keys})

    # ---- what happens ----

    def run(self) -> None:
        setup = self.site.client()
        setup.send(b"".join(request("SET", marker, "x") for marker in MARKERS))
        setup.expect(b"+OK\r\n" * len(MARKERS))
        self.node.held = True
        for _ in range(4):
            self.actors.append(Actor(self))
        for _ in range(STEPS):
            self.step()
        self.settle()
        self.check(setup)

    def step(self) -> None:
        dice, node = self.random, self.node
        match dice.choices(range(8), (40, 40, 3, 3, 5, 4, 6, 1))[0]:
            case 0:
                dice.choice(self.actors).act()
            case 1:
                for _ in range(min(dice.randint(1, 6), len(node.waiting))):
                    node.waiting.rotate(dice.randrange(len(node.waiting)))
                    node.release(1)
            case 2:
                node.frozen.update(dice.sample(self.slots, dice.randint(1, 3)))
            case 3:
                node.frozen.clear()
            case 4:
                node.hand_over(dice.sample(self.slots, dice.randint(1, 8)), dice.randint(1, 3))
            case 5:
                node.show()
            case 6:
                self.site.tick(dice.choice((2, 20, 20, 100)))
            case 7:
                self.actors.pop(dice.randrange(len(self.actors))).leave()
                self.actors.append(Actor(self))
        self.site.cycle()
        for actor in self.actors:
            actor.hear()

    def settle(self) -> None:
        node = self.node
        node.frozen.clear()
        node.show()
        for _ in range(100):
            node.release()
            self.site.tick(100)
            for actor in self.actors:
                actor.hear()
        assert not node.waiting
        assert not self.site.front.again.waiting
        assert self.site.front.again.bytes_waiting == 0
        assert not any(actor.asked for actor in self.actors), "a request was never answered"

    # ---- what must hold ----

    def check(self, client: Client) -> None:
        self.node.held = False
        where: dict[bytes, tuple[bytes, int]] = {}
        for key in LISTS:
            for at, token in enumerate(split_request(client.ask("LRANGE", key, "0", "-1"))):
                assert token not in where, f"{token!r} was pushed twice"
                where[token] = key, at
        for token, place in self.said.items():
            assert where[token][1] == place, f"{token!r} is not where its reply says"
        assert not self.denied & where.keys(), "what was not executed was executed"
        for (_, key), tokens in self.sent.items():
            places = [where[token][1] for token in tokens if token in where]
            assert all(where[token][0] == key for token in tokens if token in where)
            assert places == sorted(places), "one connection's commands on one key in another order"
        counted = int(split_request(b"*1\r\n" + client.ask("GET", COUNTER))[0]) if self.increments else 0
        assert self.increments <= counted <= self.increments + self.doubtful, (
            "an update was lost or made twice"
        )


class Actor:
    """A client that sends pipelines and knows what each reply may be."""

    def __init__(self, world: World) -> None:
        world.born += 1
        self.world, self.number = world, world.born
        self.client = world.site.client()
        self.asked: list[Asked] = []
        self.own: dict[bytes, bytes] = {}  # what its own keys hold; nobody else writes them
        self.tokens = 0
        self.read: bytes | None = None  # what the watched counter said
        self.incrementing = False

    def act(self) -> None:
        if self.asked:
            return
        dice = self.world.random
        ways = (self.push, self.register, self.count, self.together, self.local) * 3 + (self.whole,)
        if self.read is not None:
            self.increment(self.read)
        for _ in range(dice.randint(1, 8)):
            dice.choice(ways)()
        if dice.random() < 0.3:
            self.watch()
        self.client.send(b"".join(request(*args) for args, _ in self.asked))

    def hear(self) -> None:
        data = self.client.read()
        while self.asked and (size := whole_reply(data)):
            args, check = self.asked.pop(0)
            try:
                check(data[:size])
            except (AssertionError, ValueError) as wrong:
                raise AssertionError(f"{args} was answered with {data[:size]!r}") from wrong
            data = data[size:]
        self.client.received = data
        assert self.asked or not data, "more replies than commands"

    def leave(self) -> None:
        """Close the connection, whatever is under way."""
        if self.incrementing:
            self.world.doubtful += 1
        self.client.connection.close()

    def ask(self, args: list[bytes], check: Check) -> None:
        self.asked.append((args, check))

    # ---- commands ----

    def token(self, key: bytes) -> bytes:
        self.tokens += 1
        token = b"%d:%d" % (self.number, self.tokens)
        self.world.sent.setdefault((self.number, key), []).append(token)
        return token

    def push(self) -> None:
        key = self.world.random.choice(LISTS)
        token = self.token(key)

        def check(reply: bytes) -> None:
            if reply in NOT_DONE:
                self.world.denied.add(token)
            else:
                self.world.said[token] = int(reply[1:-2]) - 1

        self.ask([b"RPUSH", key, token], check)

    def register(self) -> None:
        dice = self.world.random
        key, other = (b"{own%d}%d" % (number, self.number) for number in dice.sample(range(6), 2))
        value = b"v%d" % dice.randrange(10**6)

        def wrote(*keys: bytes) -> Check:
            def check(reply: bytes) -> None:
                assert reply == b"+OK\r\n" or reply in NOT_DONE
                if reply == b"+OK\r\n":
                    self.own.update(dict.fromkeys(keys, value))

            return check

        def says(reply: bytes) -> None:
            held = self.own.get(key)
            kept = b"$%d\r\n%b\r\n" % (len(held), held) if held else b"$-1\r\n"
            assert reply in (TRYAGAIN, kept)

        self.ask([b"SET", key, value], wrote(key))
        self.ask([b"GET", key], says)
        self.ask([b"MSET", key, value, other, value], wrote(key, other))
        self.ask([b"GET", key], says)

    def count(self) -> None:
        dice = self.world.random
        keys = dice.choices(MARKERS, k=dice.randint(1, 10))

        def check(reply: bytes) -> None:
            assert reply in (b":%d\r\n" % len(keys), TRYAGAIN)

        self.ask([dice.choice((b"EXISTS", b"TOUCH")), *keys], check)

    def together(self) -> None:
        dice = self.world.random
        keys = [dice.choice(LISTS) for _ in range(dice.randint(1, 2))]
        tokens = [self.token(key) for key in keys]

        def queued(reply: bytes) -> None:
            assert reply == b"+QUEUED\r\n"

        def check(reply: bytes) -> None:
            if reply in (*NOT_DONE, b"*-1\r\n"):  # Null: an earlier WATCH was lost or seen to be changed
                self.world.denied.update(tokens)
                return
            replies = [int(each) for each in reply.replace(b":", b"").split(b"\r\n")[1:-1]]
            assert len(replies) == len(keys)
            self.world.said.update((token, length - 1) for token, length in zip(tokens, replies, strict=True))

        self.ask([b"MULTI"], lambda reply: self.expect(reply, b"+OK\r\n"))
        for key, token in zip(keys, tokens, strict=True):
            self.ask([b"RPUSH", key, token], queued)
        self.ask([b"EXEC"], check)

    def local(self) -> None:
        self.ask([b"ECHO", b"here"], lambda reply: self.expect(reply, b"$4\r\nhere\r\n"))

    def whole(self) -> None:
        def check(reply: bytes) -> None:
            if reply != TRYAGAIN:
                assert sorted(split_request(reply)) == MARKERS

        self.ask([b"KEYS", b"m?"], check)

    def watch(self) -> None:
        watches = False

        def watched(reply: bytes) -> None:
            nonlocal watches
            assert reply in (b"+OK\r\n", TRYAGAIN)
            watches = reply == b"+OK\r\n"

        def check(reply: bytes) -> None:
            if watches and reply != TRYAGAIN:
                self.read = b"0" if reply == b"$-1\r\n" else reply.split(b"\r\n")[1]

        self.ask([b"UNWATCH"], lambda reply: self.expect(reply, b"+OK\r\n"))
        self.ask([b"WATCH", COUNTER], watched)
        self.ask([b"GET", COUNTER], check)

    def increment(self, read: bytes) -> None:
        self.read = None
        self.incrementing = True

        def check(reply: bytes) -> None:
            self.incrementing = False
            assert reply in (b"*1\r\n+OK\r\n", b"*-1\r\n", TRYAGAIN)
            self.world.increments += reply == b"*1\r\n+OK\r\n"

        self.ask([b"MULTI"], lambda reply: self.expect(reply, b"+OK\r\n"))
        self.ask([b"SET", COUNTER, b"%d" % (int(read) + 1)], lambda reply: self.expect(reply, b"+QUEUED\r\n"))
        self.ask([b"EXEC"], check)

    def expect(self, reply: bytes, expected: bytes) -> None:
        assert reply == expected


@pytest.fixture
def world(seed: int) -> Iterator[World]:
    """A world of that seed."""
    world = World(seed)
    with world.site:
        yield world


@pytest.mark.parametrize("seed", range(6))
def test_moving_slots_lose_double_and_reorder_nothing(world: World) -> None:
    """Every command once or not executed, in order per connection and key, with its own reply."""
    world.run()
