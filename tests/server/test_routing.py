"""Where commands go: divided, refused, redirected, or asked of the whole keyspace, by port."""

from __future__ import annotations

import re

import pytest

from redraft.accel.scan import key_slot
from redraft.server import words
from redraft.server.queueing import split_request
from tests.server.harness import Client, Site, request


def key_of(site: Site, group: int, nth: int = 0) -> str:
    """The nth key of the form k<n> that a group owns."""
    found = [f"k{n}" for n in range(200) if site.node.group_of_slot[key_slot(b"k%d" % n)] == group]
    return found[nth]


@pytest.fixture
def shared(site: Site) -> Site:
    """Group 1 is led here, 2 by node 2 and 3 by node 3."""
    site.node.led_by = {1: 1, 2: 2, 3: 3}
    site.tick()
    return site


def test_keys_of_several_groups_are_refused_never_half_done(site: Site) -> None:
    """CROSSSLOT for one command's keys in different groups; in one group any slots will do."""
    client = site.client()
    a, b, c = key_of(site, 1), key_of(site, 2), key_of(site, 1, 1)
    assert client.ask("MSET", a, "1", b, "2") == b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    assert client.ask("EXISTS", a, b) == b":0\r\n"
    assert client.ask("MSET", a, "1", c, "2") == b"+OK\r\n"
    assert client.ask("RENAME", a, b).startswith(b"-CROSSSLOT")


def test_del_and_its_like_are_divided_over_groups(site: Site) -> None:
    """DEL UNLINK EXISTS TOUCH count over groups; within a pipeline they keep their place."""
    client = site.client()
    keys = [key_of(site, group, nth) for group in (1, 2, 3) for nth in (0, 1)]
    client.send(b"".join(request("SET", key, "v") for key in keys) + request("EXISTS", *keys, keys[0]))
    client.expect(b"+OK\r\n" * 6 + b":7\r\n")
    assert client.ask("TOUCH", *keys, "none") == b":6\r\n"
    assert client.ask("UNLINK", keys[0], keys[2]) == b":2\r\n"
    client.send(request("DEL", *keys) + request("EXISTS", *keys) + request("SET", keys[0], "x"))
    client.expect(b":4\r\n:0\r\n+OK\r\n")


def test_movable_keys_are_found_and_routed(shared: Site) -> None:
    """LMPOP and XREAD go where their keys are; keys of several groups are refused, nonsense by any group."""
    client = shared.client()
    a, b, c = key_of(shared, 2), key_of(shared, 2, 1), key_of(shared, 3)
    assert client.ask("RPUSH", b, "1", "2") == b":2\r\n"
    assert client.ask("LMPOP", "2", a, b, "LEFT") == b"*2\r\n$%d\r\n%b\r\n*1\r\n$1\r\n1\r\n" % (
        len(b), b.encode(),
    )  # fmt: skip
    assert client.ask("LMPOP", "2", a, c, "LEFT").startswith(b"-CROSSSLOT")
    assert client.ask("LMPOP", "x", a, "LEFT") == b"-ERR numkeys should be greater than 0\r\n"
    assert client.ask("LMPOP", "9", a, "LEFT") == b"-ERR syntax error\r\n"
    assert client.ask("LMPOP", "1").startswith(b"-ERR wrong number of arguments")
    assert client.ask("XADD", c, "1-0", "f", "v") == b"$3\r\n1-0\r\n"
    assert client.ask("XREAD", "STREAMS", c, "0").startswith(b"*1\r\n*2\r\n")
    client.send(request("GET", a) + request("LMPOP", "1", b, "RIGHT") + request("LLEN", b))
    client.expect(b"$-1\r\n*2\r\n$%d\r\n%b\r\n*1\r\n$1\r\n2\r\n:0\r\n" % (len(b), b.encode()))


def test_movable_keys_count_in_transactions(shared: Site) -> None:
    """A queued LMPOP decides the transaction's group as any other command with keys."""
    client = shared.client()
    b, c = key_of(shared, 2), key_of(shared, 3)
    assert client.ask("RPUSH", b, "1", "2") == b":2\r\n"
    for line, reply in (
        (("MULTI",), b"+OK\r\n"),
        (("LMPOP", "1", b, "LEFT"), b"+QUEUED\r\n"),
        (("LLEN", b), b"+QUEUED\r\n"),
        (("EXEC",), b"*2\r\n*2\r\n$%d\r\n%b\r\n*1\r\n$1\r\n1\r\n:1\r\n" % (len(b), b.encode())),
        (("MULTI",), b"+OK\r\n"),
        (("LMPOP", "1", b, "LEFT"), b"+QUEUED\r\n"),
        (("LLEN", c), b"+QUEUED\r\n"),
    ):
        assert client.ask(*line) == reply
    assert client.ask("EXEC").startswith(b"-CROSSSLOT")


def test_movable_keys_are_redirected_on_the_primary_port(shared: Site) -> None:
    """A slot led here is served, one led elsewhere MOVED, keys in two slots refused."""
    client = shared.client(shared.front.primary_port)
    here, also_here, there = key_of(shared, 1), key_of(shared, 1, 1), key_of(shared, 2)
    assert client.ask("RPUSH", here, "1") == b":1\r\n"
    assert client.ask("LMPOP", "1", here, "LEFT").startswith(b"*2\r\n")
    assert client.ask("LMPOP", "1", there, "LEFT").startswith(b"-MOVED")
    assert client.ask("LMPOP", "2", here, also_here, "LEFT").startswith(b"-CROSSSLOT")


DOWN = b"-CLUSTERDOWN no leader; not executed\r\n"
TIMEOUT = b"-TIMEOUT outcome unknown\r\n"


@pytest.mark.parametrize("failed_first", [True, False])
def test_divided_read_tells_the_first_error(site: Site, failed_first: bool) -> None:
    """When a group can't answer, the client learns it rather than a wrong count."""
    client = site.client()
    site.node.held = True
    client.send(request("EXISTS", key_of(site, 1), key_of(site, 2)))
    if not failed_first:
        site.node.release(1)
    site.node.waiting.popleft().fail(DOWN)
    site.node.release()
    client.expect(DOWN)


@pytest.mark.parametrize("command", ["DEL", "UNLINK", "FLUSHALL"])
@pytest.mark.parametrize(
    ("first", "others", "told"),
    [
        (DOWN, DOWN, DOWN),
        (DOWN, None, words.PARTLY),
        (None, DOWN, words.PARTLY),
        (DOWN, TIMEOUT, TIMEOUT),
        (TIMEOUT, None, TIMEOUT),
    ],
)
def test_divided_write_says_not_executed_only_if_no_group_did_its_share(
    site: Site, command: str, first: bytes | None, others: bytes | None, told: bytes
) -> None:
    """Half of the keys are gone: that must not be called "not executed, safe to retry"."""
    client = site.client()
    site.node.held = True
    client.send(request(command, *(() if command == "FLUSHALL" else [key_of(site, 1), key_of(site, 2)])))
    for reply in (first, *[others] * (len(site.node.waiting) - 1)):
        if reply is None:
            site.node.release(1)
        else:
            site.node.waiting.popleft().fail(reply)
    assert told.startswith((b"-CLUSTERDOWN", b"-TIMEOUT"))
    client.expect(told)


def test_whole_keyspace_commands_mean_all_groups(site: Site) -> None:
    """DBSIZE, KEYS, RANDOMKEY, FLUSHALL on the client port, in the order of their pipeline."""
    client = site.client()
    names = sorted(f"key:{n}" for n in range(60))
    sets = b"".join(request("SET", name, "v") for name in names)
    client.send(sets + request("DBSIZE") + request("SET", "last", "v") + request("DBSIZE"))
    client.expect(b"+OK\r\n" * 60 + b":60\r\n+OK\r\n:61\r\n")
    found = client.ask("KEYS", "key:*")
    assert sorted(re.findall(rb"key:\d+", found)) == [name.encode() for name in names]
    assert found.startswith(b"*60\r\n")
    assert re.match(rb"\$\d+\r\n(key:\d+|last)\r\n", client.ask("RANDOMKEY"))
    assert client.ask("FLUSHALL", "NOPE") == b"-ERR syntax error\r\n"
    client.send(request("FLUSHALL") + request("DBSIZE") + request("RANDOMKEY") + request("KEYS", "*"))
    client.expect(b"+OK\r\n:0\r\n$-1\r\n*0\r\n")


def test_what_has_no_fixed_order_is_asked_beside_the_log(site: Site) -> None:
    """Replicas hold their keys in different orders: in an entry each would remember another reply."""
    client = site.client()
    key = key_of(site, 1)
    slot = str(key_slot(key.encode()))
    site.node.submitted = []
    client.send(
        request("SET", key, "1")
        + request("KEYS", "*")
        + request("RANDOMKEY")
        + request("CLUSTER", "GETKEYSINSLOT", slot, "10")
        + request("SCAN", "0")
        + request("SET", key, "2")
    )
    client.read()
    asked = [
        (args[3 if args[0] == b"REDRAFT" else 0].upper(), write)
        for args, write in ((split_request(data), write) for _, data, _, write in site.node.submitted)
    ]
    assert [name for name, write in asked if write] == [b"SET", b"SET"]
    assert {name for name, write in asked if not write} >= {b"KEYS", b"RANDOMKEY", b"CLUSTER", b"SCAN"}


def scanned(client: Client, *options: str) -> tuple[list[bytes], int]:
    """All that a whole SCAN finds, and how many calls it took."""
    cursor, found, calls = b"0", [], 0
    while True:
        reply = client.ask("SCAN", cursor, *options)
        match = re.match(rb"\*2\r\n\$\d+\r\n(\d+)\r\n", reply)
        assert match, reply
        cursor = match[1]
        found += re.findall(rb"\$\d+\r\n([^\r]+)\r\n", reply[match.end() :])
        calls += 1
        if cursor == b"0":
            return found, calls


def test_scan_goes_through_all_groups_once(site: Site) -> None:
    """Each key is found once, with any COUNT; a bad cursor is refused."""
    client = site.client()
    names = [b"key:%d" % n for n in range(300)]
    client.send(b"".join(request("SET", name, "v") for name in names))
    client.expect(b"+OK\r\n" * 300)
    for count in ("1", "7", "1000"):
        found, calls = scanned(client, "COUNT", count)
        assert sorted(found) == sorted(names)
    assert calls == 3
    assert len(scanned(client, "MATCH", "key:1*", "COUNT", "50")[0]) == 111
    assert client.ask("SCAN", "abc") == b"-ERR invalid cursor\r\n"


def test_client_port_never_redirects(shared: Site) -> None:
    """Whoever leads, the client port takes everything."""
    client = shared.client()
    for group in (1, 2, 3):
        assert client.ask("SET", key_of(shared, group), "v") == b"+OK\r\n"


def test_primary_port_serves_what_this_node_leads(shared: Site) -> None:
    """MOVED to the leader's primary port for the rest; Redis Cluster's one-slot rule."""
    client = shared.client(shared.front.primary_port)
    mine, theirs = key_of(shared, 1), key_of(shared, 2)
    assert client.ask("SET", mine, "v") == b"+OK\r\n"
    moved = b"-MOVED %d 127.0.0.1:7380\r\n" % key_slot(theirs.encode())
    assert client.ask("SET", theirs, "v") == moved
    client.send(request("GET", mine) + request("GET", theirs) + request("GET", mine))
    client.expect(b"$1\r\nv\r\n" + moved + b"$1\r\nv\r\n")
    assert client.ask("MSET", mine, "1", key_of(shared, 1, 1), "2").startswith(b"-CROSSSLOT")
    assert client.ask("DEL", mine, key_of(shared, 1, 1)).startswith(b"-CROSSSLOT")
    assert client.ask("MSET", "{x}1", "1", "{x}2", "2")[:3] in (b"+OK", b"-MO")


def test_primary_port_follows_leadership(shared: Site) -> None:
    """When a leader is another, redirections are others; without one the last known stays."""
    client = shared.client(shared.front.primary_port)
    key = key_of(shared, 2)
    shared.node.led_by[2] = 3
    assert b":7381" in client.ask("GET", key), "at once"
    shared.node.led_by[2] = 0
    shared.tick()
    assert b":7380" in client.ask("GET", key), "the last one that was looked up"
    shared.node.led_by[2] = 1
    shared.tick()
    assert client.ask("GET", key) == b"$-1\r\n"


def test_primary_port_waits_with_its_clients_for_an_election(shared: Site) -> None:
    """While a leader is dead and others can elect one, they are shown in its stead."""
    client = shared.client(shared.front.primary_port)
    key = key_of(shared, 2)
    shared.node.silent_ms = {2: 300.0}
    shared.node.led_by[2] = 0
    assert client.ask("SET", key, "v") == b"+OK\r\n", "here it is put to the group, which waits for a leader"
    assert b":7380\r\n" not in client.ask("CLUSTER", "SLOTS")
    reader = shared.client(shared.front.replica_port)
    assert reader.ask("GET", key) == b"-MOVED %d 127.0.0.1:7381\r\n" % key_slot(key.encode())
    shared.node.silent_ms = {2: 300.0, 3: 300.0}
    assert b":7380" in client.ask("GET", key), "alone it can't elect, so others may be right"
    shared.node.led_by[2] = 3
    shared.node.silent_ms = {}
    assert b":7381" in client.ask("GET", key)


def test_replica_port_reads_the_fast_way_and_stops_where_it_must(shared: Site) -> None:
    """After READONLY a pipeline of reads is one round; writes, other slots and READWRITE still count."""
    everything, client = shared.client(), shared.client(shared.front.replica_port)
    two, three, led = key_of(shared, 2), key_of(shared, 3), key_of(shared, 1)
    everything.send(request("SET", two, "2") + request("SET", three, "3") + request("SET", led, "1"))
    everything.expect(b"+OK\r\n" * 3)
    moved = b"-MOVED %d 127.0.0.1:%d\r\n"
    elsewhere = moved % (key_slot(led.encode()), 7379)
    back = moved % (key_slot(two.encode()), 7380)
    assert client.ask("READONLY") == b"+OK\r\n"
    shared.node.submitted = []
    client.send(request("GET", two) * 50)
    client.expect(b"$1\r\n2\r\n" * 50)
    assert [count for _group, _data, count, _write in shared.node.submitted] == [50]
    client.send(request("GET", two) + request("GET", three))
    client.expect(b"$1\r\n2\r\n$1\r\n3\r\n")
    client.send(request("GET", two) + request("SET", two, "x") + request("GET", led) + request("GET", two))
    client.expect(b"$1\r\n2\r\n" + back + elsewhere + b"$1\r\n2\r\n")
    client.send(request("SET", two, "x") + request("DEL", three))
    client.expect(back + moved % (key_slot(three.encode()), 7381))
    client.send(request("MULTI") + request("GET", two) + request("SET", two, "x") + request("EXEC"))
    client.read()
    assert b"MOVED" in client.received
    client.received = b""
    client.send(request("GET", two) + request("READWRITE") + request("GET", two))
    client.expect(b"$1\r\n2\r\n+OK\r\n" + back)
    client.send(request("GET", two) + request("READONLY") + request("GET", two))
    client.expect(back + b"+OK\r\n$1\r\n2\r\n")
    assert client.ask("RESET") == b"+RESET\r\n"
    assert client.ask("GET", two) == back


def test_whole_keyspace_on_the_primary_port_is_what_is_led_here(shared: Site) -> None:
    """A cluster client sums up, so each primary counts, scans and flushes its own."""
    everything = shared.client()
    names = [f"key:{n}" for n in range(90)]
    for name in names:
        everything.ask("SET", name, "v")
    own = sorted(n.encode() for n in names if shared.node.group_of_slot[key_slot(n.encode())] == 1)
    client = shared.client(shared.front.primary_port)
    assert client.ask("DBSIZE") == b":%d\r\n" % len(own)
    assert sorted(scanned(client, "COUNT", "5")[0]) == own
    assert client.ask("FLUSHALL") == b"+OK\r\n"
    assert everything.ask("DBSIZE") == b":%d\r\n" % (90 - len(own))
    shared.node.led_by = {1: 2, 2: 2, 3: 1}  # and nothing else happens until it is asked
    third = [n.encode() for n in names if shared.node.group_of_slot[key_slot(n.encode())] == 3]
    assert client.ask("DBSIZE") == b":%d\r\n" % len(third)
    assert sorted(scanned(client, "COUNT", "1000")[0]) == sorted(third)
    everything.ask("FLUSHALL")
    shared.node.led_by = {1: 1, 2: 2, 3: 2}
    for name in names:
        everything.ask("SET", name, "v")
    assert sorted(scanned(client, "COUNT", "5")[0]) == own


def test_replica_port_serves_reads_of_what_it_follows_after_readonly(shared: Site) -> None:
    """Without READONLY, for writes, and for slots led here: MOVED to the leader's primary port."""
    client = shared.client(shared.front.replica_port)
    led, followed = key_of(shared, 1), key_of(shared, 2)
    moved = b"-MOVED %d 127.0.0.1:7380\r\n" % key_slot(followed.encode())
    assert client.ask("GET", followed) == moved
    assert client.ask("READONLY") == b"+OK\r\n"
    assert client.ask("GET", followed) == b"$-1\r\n"
    assert client.ask("SET", followed, "x") == moved
    assert client.ask("GET", led) == b"-MOVED %d 127.0.0.1:7379\r\n" % key_slot(led.encode())
    assert client.ask("FLUSHALL") == b"-READONLY You can't write against a read only replica.\r\n"
    assert client.ask("READWRITE") == b"+OK\r\n"
    assert client.ask("GET", followed) == moved


def test_slots_without_owner_are_down(site: Site) -> None:
    """A slot that no group owns is refused, divided commands included."""
    owned = list(site.node.group_of_slot)
    hole = key_of(site, 2)
    owned[key_slot(hole.encode())] = 0
    site.node.group_of_slot = owned
    site.tick()
    client = site.client()
    down = b"-CLUSTERDOWN Hash slot not served\r\n"
    assert client.ask("GET", hole) == down
    assert client.ask("DEL", hole, key_of(site, 1)) == down
    assert client.ask("GET", key_of(site, 1)) == b"$-1\r\n"


def test_keys_in_a_slot_are_the_owners_to_tell(site: Site) -> None:
    """CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT go to the group that owns the slot."""
    client = site.client()
    slot = str(key_slot(b"{t}"))
    client.send(request("SET", "{t}1", "v") + request("SET", "{t}2", "v"))
    client.expect(b"+OK\r\n+OK\r\n")
    assert client.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == b":2\r\n"
    assert client.ask("CLUSTER", "GETKEYSINSLOT", slot, "1").startswith(b"*1\r\n$4\r\n{t}")
    assert client.ask("CLUSTER", "COUNTKEYSINSLOT", "99999") == b"-ERR Invalid slot\r\n"
    assert client.ask("OBJECT", "HELP").startswith(b"*")
