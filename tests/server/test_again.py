"""Commands that groups refuse because slots move: carried out once, in order, where the slots are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import cycle

import pytest

from redraft.accel.scan import key_slot
from redraft.replica.request import TRYAGAIN
from redraft.server import words
from redraft.server.limits import AGAIN_MS
from tests.server.harness import Client, Site, request
from tests.server.moving import MovingNode

GONE = b"*-1\r\n"


class MovingSite(Site):
    """A site whose node's slots move."""

    node: MovingNode

    def __init__(self, **settings: object) -> None:
        super().__init__(MovingNode(**settings))

    def key(self, group: int, nth: int = 0) -> str:
        """The nth key of the form k<n> that a group serves."""
        found = [f"k{n}" for n in range(300) if self.node.owners[slot_of(f"k{n}")] == group]
        return found[nth]


def slot_of(key: str) -> int:
    """The slot of a key."""
    return key_slot(key.encode())


@pytest.fixture
def moving() -> Iterator[MovingSite]:
    """Three groups, all led here, whose slots move."""
    with MovingSite() as site:
        yield site


def executed(site: MovingSite, name: str) -> list[tuple[int, list[bytes]]]:
    """Which commands of that name groups have carried out."""
    return [(group, args) for group, args in site.node.executed if args[0] == name.encode()]


def start_transaction(client: Client, *commands: tuple[str, ...]) -> None:
    """MULTI and what is queued."""
    assert client.ask("MULTI") == b"+OK\r\n"
    for command in commands:
        assert client.ask(*command) == b"+QUEUED\r\n"


# ---- where refused commands go ----


def test_refused_command_goes_to_the_new_owner_once_the_map_shows_it(moving: MovingSite) -> None:
    """The old owner has refused it and nobody has carried it out; the client notices nothing but the time."""
    client, key = moving.client(), moving.key(1)
    moving.node.hand_over([slot_of(key)], 2)
    client.send(request("SET", key, "x"))
    assert client.read() == b""
    assert not executed(moving, "SET")
    moving.node.show()
    client.expect(b"+OK\r\n")
    assert [group for group, _ in executed(moving, "SET")] == [2]


def test_refused_command_goes_at_once_where_the_map_says_already(moving: MovingSite) -> None:
    """The map has changed while the request was on its way: nothing waits for a timer."""
    client, key = moving.client(), moving.key(1)
    moving.node.held = True
    client.send(request("SET", key, "x"))
    moving.node.move([slot_of(key)], 3)
    moving.node.release(1)
    assert [each.group for each in moving.node.waiting] == [3]
    moving.node.release()
    client.expect(b"+OK\r\n")


def test_command_on_a_frozen_slot_is_asked_again_until_it_is_served(moving: MovingSite) -> None:
    """A move that is given up changes no map: the group is asked again after a few milliseconds."""
    client, key = moving.client(), moving.key(1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("INCR", key))
    moving.tick(AGAIN_MS)
    assert moving.node.refusals == 2
    moving.node.frozen.clear()
    moving.tick(AGAIN_MS)
    client.expect(b":1\r\n")


def test_waiting_command_stays_where_another_slot_moves(moving: MovingSite) -> None:
    """A map that still names the group which refused is no reason to ask it again."""
    client, key = moving.client(), moving.key(1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("INCR", key))
    moving.node.move([slot_of(moving.key(2))], 3)
    assert moving.node.refusals == 1


def test_commands_behind_a_refused_one_wait_and_those_before_keep_their_replies(moving: MovingSite) -> None:
    """The order of one connection holds for a group's commands; another group's are not held up."""
    client = moving.client()
    first, second, other = moving.key(1), moving.key(1, 1), moving.key(2)
    moving.node.frozen.add(slot_of(second))
    sent = [("RPUSH", first, "1"), ("RPUSH", second, "2"), ("RPUSH", first, "3"), ("RPUSH", other, "4")]
    client.send(b"".join(request(*command) for command in sent))
    assert [args[2] for _, args in executed(moving, "RPUSH")] == [b"1", b"4"]
    moving.node.frozen.clear()
    moving.tick(AGAIN_MS)
    client.expect(b":1\r\n:1\r\n:2\r\n:1\r\n")
    assert [args[2] for _, args in executed(moving, "RPUSH")] == [b"1", b"4", b"2", b"3"]


def test_round_of_one_connection_waits_for_what_was_refused(moving: MovingSite) -> None:
    """What the client sends meanwhile is not even read."""
    client, key = moving.client(), moving.key(1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("APPEND", key, "1"))
    client.send(request("APPEND", key, "2"))
    moving.node.move([slot_of(key)], 2)
    client.expect(b":1\r\n:2\r\n")
    assert moving.client().ask("GET", key) == b"$2\r\n12\r\n"


def test_refused_command_is_not_executed_after_a_while(moving: MovingSite) -> None:
    """-TRYAGAIN is true: none of the refused commands was carried out, nor will be."""
    client = moving.client()
    key, other = moving.key(1), moving.key(1, 1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("SET", other, "x") + request("SET", key, "x") + request("GET", other))
    waited = 0
    while waited <= moving.node.config.leader_wait_ms + 200:
        moving.tick(50)
        waited += 50
    client.expect(b"+OK\r\n" + TRYAGAIN * 2)
    moving.node.frozen.clear()
    moving.tick(1000)
    assert len(executed(moving, "SET")) == 1


def test_refused_requests_are_counted_until_they_are_answered(moving: MovingSite) -> None:
    """They take memory that clients have made us take: with too much of it no client is read."""
    moving.node.set_config(maxmemory_clients=1000)
    moving.front.reconfigure(moving.node.config)
    client, key = moving.client(), moving.key(1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("SET", key, "x" * 2000))
    assert moving.front.again.bytes_waiting > 2000
    moving.tick(AGAIN_MS)
    assert moving.front.paused
    moving.node.move([slot_of(key)], 2)
    client.expect(b"+OK\r\n")
    assert moving.front.again.bytes_waiting == 0
    assert client.ask("PING") == b"+PONG\r\n"
    assert not moving.front.paused


def test_refused_commands_of_a_closed_connection_are_carried_out(moving: MovingSite) -> None:
    """They were taken; that their client is gone takes nothing back."""
    client, key = moving.client(), moving.key(1)
    moving.node.frozen.add(slot_of(key))
    client.send(request("SET", key, "x"))
    client.connection.close()
    moving.node.move([slot_of(key)], 2)
    assert moving.client().ask("GET", key) == b"$1\r\nx\r\n"
    assert moving.front.again.bytes_waiting == 0
    assert not moving.front.again.waiting


@pytest.mark.parametrize("port", ["primary_port", "replica_port"])
def test_cluster_ports_send_on_what_was_refused(moving: MovingSite, port: str) -> None:
    """A request that was taken is answered; the next one is told where the slot is now."""
    key = moving.key(1)
    moving.node.led_by = dict.fromkeys((1, 2, 3), 1 if port == "primary_port" else 2)
    moving.tick()
    client = moving.client(getattr(moving.front, port))
    if port == "replica_port":
        assert client.ask("READONLY") == b"+OK\r\n"
    moving.node.hand_over([slot_of(key)], 2)
    client.send(request("GET", key))
    moving.node.led_by[2] = 3
    moving.node.show()
    client.expect(b"$-1\r\n")
    if port == "primary_port":
        moving.tick()
        assert client.ask("GET", key) == b"-MOVED %d 127.0.0.1:7381\r\n" % slot_of(key)


# ---- commands with several keys ----


def test_divided_command_is_divided_again(moving: MovingSite) -> None:
    """Some of a share's keys have moved: the share is shared out, and the sum is the same."""
    client = moving.client()
    keys = [moving.key(group, nth) for group in (1, 2, 3) for nth in (0, 1, 2)]
    client.send(b"".join(request("SET", key, "v") for key in keys))
    client.expect(b"+OK\r\n" * 9)
    moving.node.held = True
    client.send(request("EXISTS", *keys) + request("DEL", *keys, "none") + request("EXISTS", *keys))
    moving.node.hand_over([slot_of(keys[0]), slot_of(keys[4])], 3)
    moving.node.hand_over([slot_of(keys[8])], 1)
    moving.node.held = False
    moving.node.release()
    moving.node.show()
    client.expect(b":9\r\n:9\r\n:0\r\n")


def test_plain_command_with_keys_of_one_group_is_divided_when_they_come_apart(moving: MovingSite) -> None:
    """DEL of two slots went to one group in a buffer that nobody looked into."""
    client = moving.client()
    one, two = moving.key(1), moving.key(1, 1)
    client.send(request("MSET", one, "1", two, "2"))
    client.expect(b"+OK\r\n")
    moving.node.hand_over([slot_of(two)], 2)
    client.send(request("DEL", one, two) + request("MSET", one, "1", two, "2") + request("GET", one))
    moving.node.show()
    client.expect(b":2\r\n" + words.CROSSSLOT + b"$-1\r\n")


def test_late_share_says_not_executed_only_if_no_group_did_its_share(moving: MovingSite) -> None:
    """DEL of which one group has done its share is partly done, if the other's slot stays frozen."""
    client = moving.client()
    one, two = moving.key(1), moving.key(2)
    moving.node.frozen.add(slot_of(two))
    client.send(request("DEL", one, two))
    for _ in range(100):
        moving.tick(100)
    client.expect(words.PARTLY)


def test_movable_keys_are_found_again(moving: MovingSite) -> None:
    """LMPOP goes where its keys are, or is refused when they came apart."""
    client = moving.client()
    one, two = moving.key(1), moving.key(1, 1)
    assert client.ask("RPUSH", two, "1", "2") == b":2\r\n"
    moving.node.hand_over([slot_of(one), slot_of(two)], 3)
    client.send(request("LMPOP", "2", one, two, "LEFT"))
    moving.node.show()
    client.expect(b"*2\r\n$%d\r\n%b\r\n*1\r\n$1\r\n1\r\n" % (len(two), two.encode()))
    moving.node.hand_over([slot_of(one)], 1)
    client.send(request("LMPOP", "2", one, two, "LEFT"))
    moving.node.show()
    client.expect(words.CROSSSLOT)


def test_commands_of_one_slot_go_to_one_group_in_a_round(moving: MovingSite) -> None:
    """The map changes between two rounds of a pipeline: what the scan said of the rest is forgotten."""
    client, key = moving.client(), moving.key(1)
    moving.node.held = True
    client.send(
        request("SET", moving.key(2), "x")
        + request("CLIENT", "SETNAME", "me")
        + request("SET", key, "x")
        + request("DEL", key, moving.key(2), moving.key(3))
        + request("EXISTS", key)
    )
    moving.node.move([slot_of(key)], 3)
    moving.node.release()
    moving.cycle()
    assert {each.group for each in moving.node.waiting} == {2, 3}
    moving.node.held = False
    moving.node.release(last_first=True)
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n:2\r\n:0\r\n")


def test_scanners_follow_the_map_at_once(moving: MovingSite) -> None:
    """The first request behind the change goes to the new owner."""
    client, key = moving.client(), moving.key(1)
    moving.node.move([slot_of(key)], 3)
    assert client.ask("SET", key, "x") == b"+OK\r\n"
    assert moving.node.refusals == 0


# ---- transactions ----


def test_transaction_moves_with_its_keys(moving: MovingSite) -> None:
    """Whether slots move before EXEC or while it is on its way, it is carried out where they are, once."""
    client, key = moving.client(), moving.key(1)
    start_transaction(client, ("INCR", key))
    moving.node.move([slot_of(key)], 2)
    assert client.ask("INCR", key) == b"+QUEUED\r\n"
    assert client.ask("EXEC") == b"*2\r\n:1\r\n:2\r\n"
    start_transaction(client, ("INCR", key), ("PING",))
    moving.node.hand_over([slot_of(key)], 3)
    client.send(request("EXEC"))
    moving.node.show()
    client.expect(b"*2\r\n:3\r\n+PONG\r\n")


def test_transaction_whose_keys_have_come_apart_is_refused(moving: MovingSite) -> None:
    """A transaction is one group's: -CROSSSLOT, and nothing of it was done."""
    client = moving.client()
    one, two, three = moving.key(1), moving.key(1, 1), moving.key(1, 2)
    start_transaction(client, ("INCR", one), ("INCR", two))
    moving.node.hand_over([slot_of(two)], 2)
    client.send(request("EXEC"))
    moving.node.show()
    client.expect(words.CROSSSLOT)
    start_transaction(client, ("INCR", one), ("INCR", three))
    moving.node.move([slot_of(three)], 2)
    assert client.ask("EXEC") == words.CROSSSLOT
    assert client.ask("EXISTS", one, two, three) == b":0\r\n"


def test_transaction_fails_when_a_watched_slot_has_moved(moving: MovingSite) -> None:
    """What a key is watched by is its former group's; that it moved counts as a change."""
    client, key = moving.client(), moving.key(1)
    for shown_before in (True, False):
        assert client.ask("WATCH", key) == b"+OK\r\n"
        start_transaction(client, ("INCR", key))
        moving.node.hand_over([slot_of(key)], 2 if shown_before else 3)
        if shown_before:
            moving.node.show()
        client.send(request("EXEC"))
        moving.node.show()
        client.expect(GONE)
    assert client.ask("WATCH", key) == b"+OK\r\n"
    start_transaction(client, ("INCR", key))
    assert client.ask("EXEC") == b"*1\r\n:1\r\n"


def test_transaction_fails_when_a_watched_slot_has_moved_away_and_back(moving: MovingSite) -> None:
    """Its group is the same again, but it has not seen what others did meanwhile."""
    client, key = moving.client(), moving.key(1)
    assert client.ask("WATCH", key) == b"+OK\r\n"
    moving.node.move([slot_of(key)], 2)
    moving.node.move([slot_of(key)], 1)
    start_transaction(client, ("INCR", key))
    assert client.ask("EXEC") == GONE


def test_transaction_goes_on_when_a_watched_slot_was_frozen_only(moving: MovingSite) -> None:
    """A move that was given up has changed nothing."""
    client, key = moving.client(), moving.key(1)
    assert client.ask("WATCH", key) == b"+OK\r\n"
    start_transaction(client, ("INCR", key))
    moving.node.frozen.add(slot_of(key))
    client.send(request("EXEC"))
    assert client.read() == b""
    moving.node.frozen.clear()
    moving.tick(AGAIN_MS)
    client.expect(b"*1\r\n:1\r\n")


def test_watch_goes_by_the_group_that_has_answered(moving: MovingSite) -> None:
    """Refused by one group and answered by another: the index is the other's."""
    client, other, key = moving.client(), moving.client(), moving.key(1)
    for number in range(20):
        assert other.ask("SET", moving.key(2), str(number)) == b"+OK\r\n"
    moving.node.hand_over([slot_of(key)], 2)
    client.send(request("WATCH", key))
    moving.node.show()
    client.expect(b"+OK\r\n")
    start_transaction(client, ("INCR", key))
    assert client.ask("EXEC") == b"*1\r\n:1\r\n"
    assert client.ask("WATCH", key) == b"+OK\r\n"
    assert other.ask("SET", key, "7") == b"+OK\r\n"
    start_transaction(client, ("INCR", key))
    assert client.ask("EXEC") == GONE


def test_watched_keys_that_have_come_apart_fail_the_transaction(moving: MovingSite) -> None:
    """A second WATCH finds its keys with another group than the first: neither is watched for nothing."""
    client, tag = moving.client(), moving.key(1)
    for shown_before in (True, False):
        assert client.ask("WATCH", f"{{{tag}}}a") == b"+OK\r\n"
        moving.node.hand_over([slot_of(tag)], 2 if shown_before else 3)
        if shown_before:
            moving.node.show()
        client.send(request("WATCH", f"{{{tag}}}b"))
        moving.node.show()
        client.expect(b"+OK\r\n")
        start_transaction(client, ("INCR", f"{{{tag}}}a"))
        assert client.ask("EXEC") == GONE


# ---- the whole keyspace ----


@pytest.mark.parametrize("shown_before", [True, False])
def test_whole_keyspace_answers_once_for_each_slot(moving: MovingSite, shown_before: bool) -> None:
    """Slots that move meanwhile are asked of their new owner, no slot twice and none left out."""
    client = moving.client()
    keys = [f"k{number}" for number in range(60)]
    client.send(b"".join(request("SET", key, "v") for key in keys))
    client.expect(b"+OK\r\n" * 60)
    target = cycle((2, 3, 1))

    def ask(*command: str) -> bytes:
        moving.node.held = True
        client.send(request(*command))
        for group in (1, 2, 3):
            moving.node.hand_over([slot_of(moving.key(group, nth)) for nth in range(5)], next(target))
        if shown_before:
            moving.node.show()
        moving.node.held = False
        moving.node.release()
        moving.node.show()
        return client.reply()

    for _ in range(3):
        assert ask("DBSIZE") == b":60\r\n"
        listed = ask("KEYS", "*")
        assert sorted(listed.split(b"\r\n")[2::2]) == sorted(key.encode() for key in keys)
        assert ask("RANDOMKEY")[:1] == b"$"
    assert ask("FLUSHALL") == b"+OK\r\n"
    assert client.ask("DBSIZE") == b":0\r\n"
    assert ask("RANDOMKEY") == b"$-1\r\n"


def test_flush_that_can_not_reach_every_slot_is_partly_done(moving: MovingSite) -> None:
    """A slot stays frozen: its group's share was not done, the others' was."""
    client = moving.client()
    moving.node.frozen.add(slot_of(moving.key(2)))
    client.send(request("FLUSHALL"))
    for _ in range(100):
        moving.tick(100)
    client.expect(words.PARTLY)


def test_group_without_slots_is_not_asked(moving: MovingSite) -> None:
    """All of a group's slots have moved away."""
    moving.node.move([slot for slot, owner in enumerate(moving.node.owners) if owner == 2], 1)
    client = moving.client()
    moving.node.submitted = []
    assert client.ask("DBSIZE") == b":0\r\n"
    assert [group for group, *_ in moving.node.submitted] == [1, 3]


def test_scan_goes_by_slot_while_slots_move(moving: MovingSite) -> None:
    """Keys that stay are found, each once here, wherever their slots are when their turn comes."""
    client = moving.client()
    keys = [b"k%d" % number for number in range(60)]
    client.send(b"".join(request("SET", key, "v") for key in keys))
    client.expect(b"+OK\r\n" * 60)
    found: list[bytes] = []
    cursor, group = b"0", 0
    while True:
        group = group % 3 + 1
        upcoming = [slot_of(moving.key(1 + (group + 1) % 3, nth)) for nth in range(6)]
        moving.node.hand_over(upcoming, group)
        client.send(request("SCAN", cursor, "COUNT", "7"))
        moving.node.show()
        parts = client.reply().split(b"\r\n")
        cursor = parts[2]
        found += parts[5::2]
        if cursor == b"0":
            break
    assert sorted(found) == sorted(keys)


def test_keys_in_a_slot_are_asked_of_its_new_owner(moving: MovingSite) -> None:
    """CLUSTER COUNTKEYSINSLOT names its slot."""
    client, key = moving.client(), moving.key(1)
    assert client.ask("SET", key, "v") == b"+OK\r\n"
    moving.node.hand_over([slot_of(key)], 2)
    client.send(request("CLUSTER", "COUNTKEYSINSLOT", str(slot_of(key))))
    moving.node.show()
    client.expect(b":1\r\n")


@pytest.mark.parametrize("known", [True, False], ids=["map", "group"])
@pytest.mark.parametrize("name", ["FLUSHALL", "DBSIZE"])
def test_whole_keyspace_in_a_transaction_means_all_of_it(moving: MovingSite, name: str, known: bool) -> None:
    """It was queued while there was one group: EXEC does not answer for a part, whoever notices it first."""
    node = moving.node
    all_groups = node.map.groups
    node.hand_over([slot for slot, owner in enumerate(node.owners) if owner != 1], 1)
    node.map = dataclasses.replace(node.map, groups=all_groups[:1])
    node.show()
    client, other = moving.client(), moving.client()
    key = moving.key(1)
    assert other.ask("SET", key, "v") == b"+OK\r\n"
    start_transaction(client, ("SET", key, "w"), (name,))
    node.hand_over([slot_of(key) ^ 1], 2)
    if known:
        node.map = dataclasses.replace(node.map, groups=all_groups)
        node.show()
    client.send(request("EXEC"))
    if not known:
        moving.tick(2 * AGAIN_MS)
        node.map = dataclasses.replace(node.map, groups=all_groups)
        node.show()
    client.expect(words.CROSSSLOT)
    assert other.ask("GET", key) == b"$1\r\nv\r\n"
    assert not executed(moving, name)
