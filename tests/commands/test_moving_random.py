"""Slots that move back and forth under random commands, with everything that can get in between.

Two groups of two replicas each, on engines of all kinds; commands of all types on few keys with deadlines,
and on large collections; movers in both directions that copy in small steps, are replaced in the middle,
freeze, and are accepted or refused; requests of movers that were replaced arrive late; replicas restart and
get snapshots.  A third group that owns all and takes part in nothing carries out the same commands: replies
and, in the end, keys, records and members have to be the same.

MOVE_TEST_RUNS: how many runs for each kind of engine; MOVE_TEST_SEED: of the first.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from redraft.accel.scan import key_slot
from redraft.commands.moving import Status
from redraft.commands.ownership import format_slots
from redraft.commands.reply import OK, REFUSED
from redraft.commands.staging import Operation, encode_operations
from redraft.commands.tracker import Tracker
from redraft.commands.walker import Walker
from redraft.topology.slots import SLOTS
from tests.commands.executors import encode
from tests.commands.replicated import ReplicatedGroup, check_whole, contents

RUNS = int(os.environ.get("MOVE_TEST_RUNS", "6"))
STEPS = 400
TAGS = [b"{a}", b"{b}", b"{c}", b"{d}", b"{e}", b"{f}"]
PLACES = [key_slot(tag) for tag in TAGS]
KEYS_MAX = 5
NAMES = [b"m%d" % number for number in range(40)]

ON_A_KEY = """
SET k v|SET k v PX t|SET k n|INCR k|APPEND k v|SETRANGE k 3 v|GETDEL k|GETEX k PX t|PEXPIRE k t|PERSIST k
DEL k|GET k|SETBIT k 9 1|HSET k m v|HSET k m v m v m v|HDEL k m m|HINCRBY k m 2|HGETALL k|RPUSH k v v v
LPUSH k v|LPOP k|RPOP k 2|LINSERT k AFTER v v|LSET k 0 v|LTRIM k 1 -2|LREM k 1 v|LRANGE k 0 -1|SADD k m m m
SREM k m|SPOP k|SPOP k 2|SCARD k|ZADD k n m n m|ZREM k m|ZINCRBY k 1.5 m|ZPOPMIN k|ZREMRANGEBYRANK k 0 0
ZRANGE k 0 -1|GEOADD k 13.4 52.5 m|XADD k * m v|XADD k * m v m v|XTRIM k MAXLEN 3
XGROUP CREATE k g 0 MKSTREAM|XREADGROUP GROUP g c COUNT 2 STREAMS k >|XACK k g 1-1
XAUTOCLAIM k g d 0 0 COUNT 1|XGROUP DESTROY k g|XRANGE k - +|XSETID k 9999999999999-1|PFADD k m m|TYPE k
OBJECT ENCODING k|PTTL k|DUMP k|HRANDFIELD k 2|SRANDMEMBER k
"""
LARGE = """
RPUSH k M|SADD k M|HSET k MM|ZADD k NM|LTRIM k 5 -5|LPOP k 400|LREM k 0 m|SPOP k 300|ZREMRANGEBYRANK k 3 -9
ZPOPMAX k 200|DEL k|RENAME k k|COPY k k REPLACE|SET k L|APPEND k L|SMEMBERS k|DUMP k|UNLINK k
"""
ON_TWO = """
RENAME k k|RENAME k k|RENAMENX k k|COPY k k REPLACE|SMOVE k k m|SINTERSTORE k k k|SUNIONSTORE k k k
ZUNIONSTORE k 2 k k|ZRANGESTORE k k 0 5|LMOVE k k LEFT RIGHT|LMPOP 2 k k LEFT COUNT 2|ZMPOP 2 k k MIN
MSET k v k v|MSETNX k v k v|MGET k k|DEL k k|BITOP OR k k k|SORT k STORE k ALPHA|PFMERGE k k|SDIFF k k
GEOSEARCHSTORE k k FROMLONLAT 13 52 BYRADIUS 500 km
"""


def templates(text: str) -> list[list[bytes]]:
    """The requests of a text."""
    return [line.split() for line in text.encode().replace(b"\n", b"|").split(b"|") if line]


ONE, TWO, MANY = templates(ON_A_KEY), templates(ON_TWO), templates(LARGE)


def generated(rng: random.Random, tags: Sequence[bytes], large: float) -> list[bytes]:
    """A random request on keys of one of these tags, or of two; that many of all are on large collections."""
    what = rng.random()
    some = [rng.choice(tags)]
    if what < large:
        template = rng.choice(MANY)
    elif what < large + 0.15:
        template = rng.choice(TWO)
        some = rng.choices(tags, k=2) if rng.random() < 0.3 else some
    else:
        template = rng.choice(ONE)
    return [template[0], *(each for word in template[1:] for each in _filled(rng, word, some))]


def _filled(rng: random.Random, word: bytes, tags: Sequence[bytes]) -> list[bytes]:
    """What stands in the place of a template's word."""
    many = [b"%d" % number for number in range(rng.choice((60, 600, 1500)))] if word in MANIFOLD else []
    if word == b"k":
        return [rng.choice(tags) + b"%d" % rng.randrange(KEYS_MAX)]
    if word == b"m":
        return [rng.choice(NAMES)]
    if word == b"n":
        return [b"%d" % rng.randrange(-9, 99)]
    if word == b"t":
        return [b"%d" % rng.choice((1, 5, 30, 200, 5000))]
    if word == b"v":
        return [rng.choice((b"", b"x", b"7", rng.randbytes(rng.choice((3, 80, 300)))))]
    if word == b"L":
        return [bytes(rng.choice((20_000, 70_000)))]
    if word in MANIFOLD:
        return [each for name in many for each in MANIFOLD[word](name)]
    return [word]


MANIFOLD: dict[bytes, Callable[[bytes], list[bytes]]] = {
    b"M": lambda name: [name],
    b"MM": lambda name: [name, b"v" * (len(name) ** 2)],
    b"NM": lambda name: [name[::-1], name],
}
"""What makes words for many members."""


class Mover:
    """Moves slots from a group to another one, as the leader of the first does."""

    def __init__(
        self, move: int, source: ReplicatedGroup, target: ReplicatedGroup, slots: list[int], run: Run
    ) -> None:
        self.move = move
        self.source = source
        self.target = target
        self.slots = slots
        self.done = False
        self._run = run
        self._rng = run.rng
        self._attempt = 0
        self._begin()

    def step(self) -> None:
        """Do the next thing."""
        rng = self._rng
        if self._keyspace is not self.source.keyspace:
            self._begin()  # another leads
        elif rng.random() < 0.04:
            self._again()
        elif not self._frozen:
            self._copy(rng.choice((1, 3, 50, 500)), rng.choice((1, 200, 10_000)))
            if self._walker.finished and (self._tracker.left < 4 or rng.random() < 0.3):
                self._freeze()
        elif self._tracker.left:
            self._import(self._tracker.take(rng.choice((1, 50, 500)), 10_000))
        else:
            self._decide()

    def _again(self) -> None:
        """Another leader takes over; what the one before has sent may arrive late."""
        if self._rng.random() < 0.5:
            self._run.late.append((self.target, self._importing([("e", self.slots[0])], self._number + 1)))
            self._run.late.append((self.target, self._accepting()))
            self._run.late.append((self.source, [b"FREEZE", b"%d" % self.move, b"%d" % self._attempt]))
        if self._rng.random() < 0.5:
            self.source.elect()
        self._begin()

    def _begin(self) -> None:
        self._attempt += 1
        self._number = 1
        self._frozen = False
        if self._attempt > 1:
            reply = self._run.ask(self.target, self._importing([], 1))
            if reply != OK:
                assert reply == b"-MOVE decided\r\n"
                self._end()
                return
        arguments = [format_slots(self.slots), b"2", b"%d" % self._attempt]
        assert self._run.ask(self.source, [b"BEGIN", b"%d" % self.move, *arguments]) == OK
        if self._attempt == 1:
            assert self._run.ask(self.target, self._importing([], 1)) == OK
        self._keyspace = keyspace = self.source.keyspace
        keyspace.tracker = self._tracker = Tracker(keyspace)
        self._walker = Walker(keyspace, self._tracker, self.slots)

    def _copy(self, keys_max: int, bytes_max: int) -> None:
        if self._walker.finished or self._rng.random() < 0.3:
            operations = self._tracker.take(keys_max, bytes_max)
        else:
            operations = self._walker.step(keys_max, bytes_max)
        if operations:
            self._import(operations)

    def _import(self, operations: list[Operation]) -> None:
        self._number += 1
        assert self._run.ask(self.target, self._importing(operations, self._number)) == OK

    def _importing(self, operations: list[Operation], number: int) -> list[bytes]:
        numbers = [b"%d" % self._attempt, b"%d" % number]
        return [
            b"IMPORT",
            b"%d" % self.move,
            format_slots(self.slots),
            *numbers,
            encode_operations(operations),
        ]

    def _freeze(self) -> None:
        reply = self._run.ask(self.source, [b"FREEZE", b"%d" % self.move, b"%d" % self._attempt])
        self._clock_ms = int(reply[1:-2])
        self._frozen = True

    def _accepting(self) -> list[bytes]:
        blob = msgspec.msgpack.encode((self.source.clock_ms, self.source.keyspace.collections_made))
        return [b"ACCEPT", b"%d" % self.move, b"%d" % self._attempt, b"%d" % self._number, blob]

    def _decide(self) -> None:
        refused = self._rng.random() < 0.25
        request = [b"REFUSE", b"%d" % self.move] if refused else self._accepting()
        self._run.ask(self.target, request)
        if self._rng.random() < 0.2:  # the answer is lost with the leader
            self._again()
        else:
            self._end()

    def _end(self) -> None:
        reply = self.target.read([[b"REDRAFT", b"MOVE", b"STATUS", b"%d" % self.move]])[0]
        status = msgspec.msgpack.decode(reply.partition(b"\r\n")[2][:-2], type=Status)
        move = b"%d" % self.move
        if status.phase == "accepted":
            told = [status.keys, status.expiring, status.bytes] if self._rng.random() < 0.8 else []
            assert self._run.ask(self.source, [b"RELEASE", move, *(b"%d" % each for each in told)]) == OK
        else:
            assert status.phase == "refused"
            assert self._run.ask(self.source, [b"UNFREEZE", move]) == OK
        assert self._run.ask(self.target, [b"FORGET", move]) == OK
        self.source.keyspace.tracker = None
        self.done = True


class Run:
    """One random run."""

    def __init__(self, seed: int, kind: str, path: Path) -> None:
        self.rng = rng = random.Random(seed)
        kinds_of = [[kind, rng.choice(("hash", kind))], [rng.choice(("hash", kind)), kind]]
        slots = set(range(SLOTS)).difference(PLACES[4:])
        self.groups = [
            ReplicatedGroup(sorted(slots), kinds_of[0], path / "1", rng),
            ReplicatedGroup(sorted(PLACES[4:]), kinds_of[1], path / "2", rng),
        ]
        self.single = ReplicatedGroup(range(SLOTS), ["hash"], path / "3", rng)
        self.late: list[tuple[ReplicatedGroup, list[bytes]]] = []
        self.clock_ms = 1_700_000_000_000
        self.moves = self.executed = 0
        self._large = rng.choice((0.0, 0.0, 0.05, 0.2))
        self._movers: list[Mover] = []
        """One for each source at most."""

    def ask(self, group: ReplicatedGroup, step: list[bytes]) -> bytes:
        """Carry out a mover's request."""
        reply = group.entry([[b"REDRAFT", b"MOVE", *step]])[0]
        assert not reply.startswith(b"-MOVE malformed")
        self.check_served()
        return reply

    def check_served(self) -> None:
        """No slot is served by two groups."""
        one, two = ({slot for slot in PLACES if group.keyspace.serves(slot)} for group in self.groups)
        if self.moves:
            assert one.isdisjoint(two)

    def go(self) -> None:
        """Do all steps, and end the move that is under way."""
        for _ in range(STEPS):
            self._tick()
            what = self.rng.random()
            if what < 0.5:
                self._request()
            elif what < 0.85:
                self._move()
            elif what < 0.88 and self.late:
                group, step = self.late.pop(self.rng.randrange(len(self.late)))
                self.ask(group, step)
            elif what < 0.95:
                self.rng.choice(self.groups).disturb(self._meanwhile)
            elif what < 0.96:
                self._flush()
            else:
                self.rng.choice(self.groups).expire()
        for mover in self._movers:
            while not mover.done:
                mover.step()

    def _meanwhile(self) -> None:
        """What goes on while a replica gets a snapshot."""
        self.rng.choice((self._request, self._request, self._move, self._flush))()

    def _tick(self) -> None:
        self.clock_ms += self.rng.choice((0, 1, 1, 3))
        for group in (*self.groups, self.single):
            group.clock_ms = max(group.clock_ms, self.clock_ms)

    def _move(self) -> None:
        self._movers = [mover for mover in self._movers if not mover.done]
        if len(self._movers) == 2 or (self._movers and self.rng.random() < 0.9):
            self.rng.choice(self._movers).step()
            return
        source, target = self.rng.sample(self.groups, 2)
        busy = {slot for mover in self._movers for slot in mover.slots}
        owned = [slot for slot in PLACES if slot in source.keyspace.slots and slot not in busy]
        if owned and all(mover.source is not source for mover in self._movers):
            self.moves += 1
            chosen = sorted(self.rng.sample(owned, self.rng.randint(1, len(owned))))
            self._movers.append(Mover(self.moves, source, target, chosen, self))

    def _request(self) -> None:
        """One of all connections' requests; or several of two connections."""
        rng = self.rng
        if rng.random() < 0.6:
            connections = [[generated(rng, TAGS, self._large)]]
        else:
            connections = [[self._plain() for _ in range(rng.randint(1, 6))] for _ in range(2)]
        if rng.random() < 0.15:
            connections = [[self._transaction([word for some in connections for word in some])]]
        seed = rng.getrandbits(60)
        for group in rng.sample(self.groups, 2):
            connections = self._sent(group, connections, seed)

    def _plain(self) -> list[bytes]:
        """A request that does not depend on chance."""
        while True:
            words = generated(self.rng, TAGS, self._large)
            if words[0] not in {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD"}:
                return words

    def _transaction(self, requests: list[list[bytes]]) -> list[bytes]:
        return [b"EXEC", b"1", b"%d" % len(requests), b"2", b"".join(map(encode, requests))]

    def _sent(
        self, group: ReplicatedGroup, connections: list[list[list[bytes]]], seed: int
    ) -> list[list[list[bytes]]]:
        """Let a group carry out what it serves, and the single group the same; what was refused."""
        before = [(group.keyspace.slots, group.keyspace.served) for group in self.groups]
        if group.keyspace.foreign is None:
            return connections  # nobody asks it for others' slots
        replies = group.entry(*connections, seed=seed)
        assert before == [(group.keyspace.slots, group.keyspace.served) for group in self.groups]
        done: list[list[list[bytes]]] = []
        refused: list[list[list[bytes]]] = []
        carried_out: list[bytes] = []
        for requests in connections:
            own, replies = replies[: len(requests)], replies[len(requests) :]
            number = own.index(REFUSED) if REFUSED in own else len(own)
            assert all(reply == REFUSED for reply in own[number:])
            carried_out += own[:number]
            done.append(requests[:number])
            refused.append(requests[number:])
        self.executed += len(carried_out)
        assert self.single.entry(*done, seed=seed) == carried_out
        return [requests for requests in refused if requests]

    def _flush(self) -> None:
        """All keys of some slots, by whom they are served."""
        slots = sorted(self.rng.sample(PLACES, 2))
        request = [b"REDRAFT", b"SLOTS", format_slots(slots), b"FLUSHALL"]
        for group in self.groups:
            if group.keyspace.foreign is not None and group.entry([request]) == [OK]:
                assert self.single.entry([request]) == [OK]

    def check(self) -> None:
        """In the end all is as in the single group, and nothing is left over."""
        for group in (*self.groups, self.single):
            group.expire()
        keys = [[b"DUMP", key] for _, key in sorted(contents(self.single.keyspace))]
        owners = {slot: group for group in self.groups for slot in group.keyspace.slots if slot in PLACES}
        assert sorted(owners) == sorted(PLACES)
        for request in keys:
            assert owners[key_slot(request[1])].read([request]) == self.single.read([request])
        both = {**contents(self.groups[0].keyspace), **contents(self.groups[1].keyspace)}
        assert both == contents(self.single.keyspace)
        for group in self.groups:
            assert len(set(group.digests())) == 1
            for replica in group.replicas:
                check_whole(replica)
            group.close()


@pytest.mark.timeout(60 + 20 * RUNS)
@pytest.mark.parametrize("kind", ["hash", "btree", "rocksdb"])
def test_moved_slots_are_what_they_would_be_without_moves(kind: str, tmp_path: Path) -> None:
    """Every request is carried out once, by one of both groups, and nothing is lost or left behind."""
    first = int(os.environ.get("MOVE_TEST_SEED", random.randrange(1 << 32)))
    executed = moves = 0
    for seed in range(first, first + RUNS):
        print("seed", seed)
        run = Run(seed, kind, tmp_path / str(seed))
        for group in run.groups:
            group.entry([[b"REDRAFT", b"MOVE", b"UNFREEZE", b"0"]])
        run.go()
        run.check()
        executed += run.executed
        moves += run.moves
    assert executed > 50 * RUNS
    assert moves > RUNS
