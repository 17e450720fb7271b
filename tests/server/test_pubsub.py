"""Channels: replies, messages and errors are redis-server's, in RESP2 and RESP3."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from redraft.accel.scan import key_slot
from redraft.server.channels import Book
from redraft.transport.messages import Published
from tests.commands.oracle import Oracle, items_of
from tests.server.harness import Site, request

PATIENCE_S = 5.0

SCRIPTS = {
    "channels": """
        a: SUBSCRIBE x y x|b: SUBSCRIBE x|c: PUBLISH x 1|c: PUBLISH y 2|c: PUBLISH z 3
        c: PUBSUB NUMSUB x y z|c: PUBSUB NUMSUB|a: UNSUBSCRIBE y nope|c: PUBLISH y 4|c: PUBSUB CHANNELS
        b: UNSUBSCRIBE|b: GET k|c: PUBLISH x 5|a: UNSUBSCRIBE|a: UNSUBSCRIBE|a: GET k|c: PUBLISH x 6
    """,
    "patterns": """
        a: PSUBSCRIBE news.*|c: PUBLISH news.art 1|c: PUBLISH news 2|b: PSUBSCRIBE n* news.?rt
        c: PUBSUB NUMPAT|b: PUNSUBSCRIBE n*|b: SUBSCRIBE news.art|c: PUBLISH news.art 3|c: PUBSUB CHANNELS
        c: PUBSUB CHANNELS n*|c: PUBSUB CHANNELS x*|b: PUNSUBSCRIBE|b: UNSUBSCRIBE|a: PUNSUBSCRIBE x
        a: PUNSUBSCRIBE|a: PUNSUBSCRIBE
    """,
    "shard channels": """
        a: SSUBSCRIBE x y|a: SUBSCRIBE x|a: PSUBSCRIBE *|c: SPUBLISH x 1|c: PUBLISH x 2
        c: PUBSUB SHARDNUMSUB x z|a: SUNSUBSCRIBE x|c: PUBSUB SHARDCHANNELS|c: SPUBLISH x 3
        c: SPUBLISH y 4|c: PUBSUB SHARDCHANNELS z*|c: PUBSUB SHARDNUMSUB|a: SUNSUBSCRIBE|a: SUNSUBSCRIBE
        a: SUNSUBSCRIBE p q|a: UNSUBSCRIBE|a: PUNSUBSCRIBE
    """,
    "what a subscriber may do": """
        a: SUBSCRIBE x|a: PING|a: PING m|a: PING m n|a: GET k|a: GET|a: NOPE 1|a: CLIENT GETNAME
        a: CLIENT NOPE|a: CLIENT|a: MULTI|a: EXEC|a: EXEC 1|a: DISCARD|a: WATCH k|a: PUBLISH x 1
        a: SPUBLISH x 1|a: PUBSUB NUMPAT|a: CONFIG GET a b c|a: DBSIZE|a: SELECT 0|a: HELLO 9
        a: PSUBSCRIBE p|a: UNSUBSCRIBE|a: ECHO e|a: PUNSUBSCRIBE|a: ECHO e|a: PING|a: SSUBSCRIBE s
        a: ECHO e|a: SUNSUBSCRIBE s|a: ECHO e
    """,
    "wrong ones": """
        a: SUBSCRIBE|a: PSUBSCRIBE|a: SSUBSCRIBE|a: PUBLISH|a: PUBLISH x|a: PUBLISH x y z|a: SPUBLISH x
        a: PUBSUB|a: PUBSUB NOPE|a: PUBSUB NUMPAT x|a: PUBSUB CHANNELS a b|a: PUBSUB ShardChannels a b
    """,
    "a reset": """
        a: SUBSCRIBE x|a: PSUBSCRIBE p*|a: SSUBSCRIBE s|a: RESET|a: GET k|b: PUBLISH x 1|b: PUBLISH p 1
        b: SPUBLISH s 1|b: PUBSUB CHANNELS|b: PUBSUB NUMPAT|a: SUBSCRIBE y|b: PUBLISH y 1
    """,
    "replies off": """
        a: CLIENT REPLY OFF|a: SUBSCRIBE x|b: PUBLISH x 1|a: UNSUBSCRIBE|a: GET k|a: CLIENT REPLY ON
        a: GET k|a: CLIENT REPLY SKIP|a: SUBSCRIBE x y|a: PING
    """,
    "a transaction": """
        a: SUBSCRIBE x|b: MULTI|b: SET k v|b: PUBLISH x 1|b: GET k|b: SPUBLISH x 2|b: PUBSUB NUMSUB x
        b: EXEC|b: MULTI|b: PUBLISH x 3|b: DISCARD|b: WATCH k|c: SET k w|b: MULTI|b: PUBLISH x 4|b: EXEC
        c: PUBLISH x 5
    """,
    "an end": "a: SUBSCRIBE x|b: PUBLISH x 1|a: QUIT|b: PUBLISH x 2|b: PUBSUB CHANNELS",
}
ONLY_RESP3 = {
    "its own messages": """
        a: SUBSCRIBE x|a: PUBLISH x 1|a: GET k|a: PSUBSCRIBE *|a: PUBLISH x 2|a: CLIENT REPLY SKIP
        a: PUBLISH x 3|a: MULTI|a: SET k v|a: EXEC|a: GET k|a: SSUBSCRIBE x|a: SPUBLISH x 1
    """,
    "back to RESP2": """
        a: SUBSCRIBE x|b: PUBLISH x 1|a: HELLO 2|a: GET k|a: PING|b: PUBLISH x 2|a: UNSUBSCRIBE|a: GET k
    """,
}


class Theirs:
    """A client of the redis-server."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._received = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, size: int) -> bytes:
        """So many bytes, or what there is within a while."""
        while len(self._received) < size and self._more():
            pass
        received, self._received = self._received[:size], self._received[size:]
        return received

    def begin_resp3(self) -> None:
        """Leave RESP2."""
        self.send(request("HELLO", "3"))
        assert len(self.settle()) == 1

    def settle(self) -> list[bytes]:
        """What comes until a PING is answered."""
        self.send(request("PING", "the end"))
        while not self._received.endswith(b"the end\r\n") and self._more():
            pass
        received, self._received = self._received, b""
        return items_of(received)[:-1]

    def _more(self) -> bool:
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            return False
        self._received += data
        return bool(data)


class Both:
    """Clients by name, each of a front end and of a redis-server; they are sent the same."""

    def __init__(self, site: Site, port: int, proto: int, names: str = "abc") -> None:
        self._ours = {name: site.client() for name in names}
        self._theirs = {name: Theirs(port) for name in names}
        if proto == 3:
            for name in names:
                self._ours[name].ask("HELLO", "3")
                self._theirs[name].begin_resp3()

    def do(self, name: str, line: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Send one request; return what all clients receive, of ours and of theirs."""
        data = request(*line.split())
        self._ours[name].send(data)
        ours = {each: client.read() for each, client in self._ours.items()}
        for client in self._ours.values():
            client.received = b""
        self._theirs[name].send(data)
        first = [name, *(each for each in self._theirs if each != name)]  # its reply, then it has been done
        return ours, {each: self._theirs[each].receive(len(ours[each])) for each in first}

    def settle(self) -> list[bytes]:
        """What the redis-server's clients received besides."""
        return [item for client in self._theirs.values() for item in client.settle()]

    def __enter__(self) -> Both:
        return self

    def __exit__(self, *_ended: object) -> None:
        for client in self._theirs.values():
            client.sock.close()


def lines(script: str) -> list[tuple[str, str]]:
    """(client, request) of each step."""
    steps = [step.strip() for line in script.strip().splitlines() for step in line.split("|")]
    return [(name, words.strip()) for name, _, words in (step.partition(":") for step in steps)]


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("name", SCRIPTS)
def test_pubsub_is_redis(site: Site, redis_server: Oracle, name: str, proto: int) -> None:
    """Every reply and every message, to the byte, at whom it reaches."""
    _run(site, redis_server, SCRIPTS[name], proto, end="QUIT" not in SCRIPTS[name])


@pytest.mark.parametrize("name", ONLY_RESP3)
def test_pubsub_in_resp3_is_redis(site: Site, redis_server: Oracle, name: str) -> None:
    """Subscribers may do everything in RESP3, and hear of it."""
    _run(site, redis_server, ONLY_RESP3[name], 3, end=True)


def _run(site: Site, redis_server: Oracle, script: str, proto: int, *, end: bool) -> None:
    redis_server.reset(2)
    with Both(site, redis_server.port, proto) as both:
        for name, line in lines(script):
            ours, theirs = both.do(name, line)
            if line == "HELLO 2":
                both.settle()  # versions and numbers differ
                continue
            assert ours == theirs, line
            assert ours[name] or "REPLY" in script or line == "QUIT", line
        if end:
            assert both.settle() == []


NAMES = ("x", "y", "xy", "n.1")
PATTERNS = ("*", "x*", "?", "n.[0-9]")
RUNS = 12


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("seed", range(RUNS))
def test_pubsub_at_random_is_redis(site: Site, redis_server: Oracle, proto: int, seed: int) -> None:
    """Whoever subscribes, publishes and leaves in whatever order: the same messages, counts and errors."""
    rng = random.Random(seed)
    redis_server.reset(2)
    with Both(site, redis_server.port, proto) as both:
        for _ in range(60):
            name, line = rng.choice("aabc"), _at_random(rng)
            ours, theirs = both.do(name, line)
            assert _in_any_order(line, ours) == _in_any_order(line, theirs), (seed, name, line)
        assert both.settle() == []


def _at_random(rng: random.Random) -> str:
    some, patterns = (" ".join(rng.choices(of, k=rng.choice((1, 1, 2, 3)))) for of in (NAMES, PATTERNS))
    one = rng.choice(NAMES)
    lines = (
        f"SUBSCRIBE {some}", f"SSUBSCRIBE {some}", f"PSUBSCRIBE {patterns}", f"UNSUBSCRIBE {some}",
        f"SUNSUBSCRIBE {some}", f"PUNSUBSCRIBE {patterns}", "UNSUBSCRIBE", "SUNSUBSCRIBE", "PUNSUBSCRIBE",
        "PUBSUB CHANNELS", f"PUBSUB NUMSUB {some}", "PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS",
        f"PUBSUB SHARDNUMSUB {some}", "PING", "GET k", "RESET",
    )  # fmt: skip
    told = rng.choice(("PUBLISH", "SPUBLISH"))
    return rng.choice((*lines, *[f"{told} {one} {rng.randrange(1000)}"] * 12))


def _in_any_order(line: str, received: dict[str, bytes]) -> object:
    """Redis's books have no order: of patterns that match, of channels told of, of those left all at once."""
    if line.startswith("PUBSUB"):
        return {name: sorted(data.split(b"\r\n")) for name, data in received.items()}
    if line.endswith("UNSUBSCRIBE"):
        return {name: sorted(data) for name, data in received.items()}
    return {name: sorted(items_of(data)) for name, data in received.items()}


# ---- what Redis shows no test of ----


def message(kind: str, *words: str) -> bytes:
    """A message, or the confirmation of a subscription, in RESP2."""
    return request(kind, *words)


def test_pubsub_tells_after_what_was_sent_before(site: Site) -> None:
    """Of SET, PUBLISH in one pipeline nobody hears the message before the SET has been carried out."""
    listener, client = site.client(), site.client()
    listener.ask("SUBSCRIBE", "x")
    site.node.held = True
    client.send(request("SET", "k", "v") + request("PUBLISH", "x", "1") + request("GET", "k"))
    assert listener.read() == b""
    site.node.release(1)
    listener.expect(message("message", "x", "1"))
    site.node.release()
    client.expect(b"+OK\r\n:1\r\n$1\r\nv\r\n")


def test_pubsub_pipelines_of_messages_are_one_answer(site: Site) -> None:
    """Messages that nothing is waited for between are told, and answered, in their order."""
    listener, client = site.client(), site.client()
    listener.ask("SUBSCRIBE", "x")
    client.send(b"".join(request("PUBLISH", "x", str(number)) for number in range(500)))
    client.expect(b":1\r\n" * 500)
    listener.expect(b"".join(message("message", "x", str(number)) for number in range(500)))


def test_pubsub_reaches_listeners_of_other_nodes() -> None:
    """A message goes to every node, once; what PUBLISH counts are the listeners of its own."""
    with Site(node_id=1) as one, Site(node_id=2) as other:
        one.node.publishing.others.append(other.node)
        there, here, client = other.client(), one.client(), one.client()
        there.ask("SUBSCRIBE", "x")
        there.ask("SSUBSCRIBE", "x")
        here.ask("PSUBSCRIBE", "*")
        assert client.ask("PUBLISH", "x", "1") == b":1\r\n"
        assert client.ask("SPUBLISH", "x", "2") == b":0\r\n"
        there.expect(message("message", "x", "1") + message("smessage", "x", "2"))
        here.expect(message("pmessage", "*", "x", "1"))


def test_pubsub_cuts_off_who_does_not_read() -> None:
    """Messages wait within the limit of any client's output; nobody else notices who goes beyond it."""
    with Site(client_output_buffer_limit=1 << 20, client_output_buffer_soft_limit=0) as site:
        deaf, hears, client = site.client(), site.client(), site.client()
        deaf.ask("SUBSCRIBE", "x")
        hears.ask("SUBSCRIBE", "x")
        heard, data = 0, b"m" * 100_000
        for _ in range(200):
            client.ask("PUBLISH", "x", data)
            heard += hears.read().count(data)
            hears.received = b""
        assert deaf.closed
        assert heard == 200
        assert site.front.cut_for_output == 1
        assert client.ask("PUBLISH", "x", "1") == b":1\r\n"


def test_pubsub_leaves_nothing_behind(site: Site) -> None:
    """When subscribers go, in whatever way, their names and the bytes they counted for go too."""
    reset, closed, ended = site.client(), site.client(), site.client()
    for client in (reset, closed, ended):
        for verb in ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"):
            client.ask(verb, "x")
    assert site.front.bytes_waiting > 0
    reset.ask("RESET")
    closed.sock.close()
    site.cycle()
    for verb in ("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"):
        ended.ask(verb)
    assert site.front.bytes_waiting == 0
    assert not any(site.front.channels.books.values())


def test_pubsub_subscribers_are_never_idle() -> None:
    """`timeout` closes who neither asks nor listens."""
    with Site(timeout=5) as site:
        listener, idle = site.client(), site.client()
        listener.ask("SUBSCRIBE", "x")
        idle.ask("PING")
        for _ in range(10):
            site.tick(1000)
        assert idle.closed
        assert not listener.closed


def test_pubsub_is_not_for_transactions(site: Site) -> None:
    """Subscribing has as many replies as names, which a transaction's reply has no room for."""
    client = site.client()
    for line in (
        "SUBSCRIBE x",
        "UNSUBSCRIBE",
        "PSUBSCRIBE x",
        "PUNSUBSCRIBE",
        "SSUBSCRIBE x",
        "SUNSUBSCRIBE",
    ):
        client.ask("MULTI")
        assert client.ask(*line.split()) == b"-ERR Command not allowed inside a transaction\r\n"
        assert client.ask("EXEC").startswith(b"-EXECABORT")


def test_pubsub_shows_subscribers(site: Site) -> None:
    """CLIENT LIST has what each listens to, its TYPE finds them, INFO counts."""
    listener, client = site.client(), site.client()
    listener.ask("SUBSCRIBE", "x")
    listener.send(request("SSUBSCRIBE", "x", "y"))
    assert b"flags=P" in client.ask("CLIENT", "LIST", "TYPE", "pubsub")
    assert b"sub=1 psub=0 ssub=2" in client.ask("CLIENT", "LIST", "TYPE", "pubsub")
    assert b"cmd=client" in client.ask("CLIENT", "LIST", "TYPE", "normal")
    assert b"sub=1" not in client.ask("CLIENT", "LIST", "TYPE", "normal")
    assert b"pubsub_channels:1\r\npubsub_patterns:0\r\npubsubshard_channels:2\r\n" in client.ask(
        "INFO", "stats"
    )
    assert client.ask("CLIENT", "KILL", "TYPE", "pubsub") == b":1\r\n"
    assert listener.closed


# ---- a cluster's ports ----

LED, ALSO_LED = "c", "c4"
"""Channels of group 2; `x` is of group 3."""
CONFIRMED = b"*3\r\n$%b\r\n%b\r\n$%b\r\n%b\r\n:%d\r\n"


@pytest.fixture
def second() -> Iterator[Site]:
    """Node 2, which leads group 2 and follows the others."""
    with Site(node_id=2) as site:
        site.node.led_by = {1: 1, 2: 2, 3: 3}
        site.tick()
        yield site


def test_pubsub_shard_channels_are_where_their_slots_are(second: Site) -> None:
    """On the primary port those of slots it leads, else MOVED; channels of one command have one slot."""
    client = second.client(second.front.primary_port)
    assert client.ask("SSUBSCRIBE", "x") == b"-MOVED 16287 127.0.0.1:7381\r\n"
    assert client.ask("SPUBLISH", "x", "1") == b"-MOVED 16287 127.0.0.1:7381\r\n"
    assert client.ask("SSUBSCRIBE", "x", "foo").startswith(b"-CROSSSLOT")
    assert client.ask("SPUBLISH", LED, "1") == b":0\r\n"
    assert client.ask("SUNSUBSCRIBE", "x") == CONFIRMED % (b"12", b"sunsubscribe", b"1", b"x", 0)
    assert client.ask("SUBSCRIBE", "x") == CONFIRMED % (b"9", b"subscribe", b"1", b"x", 1)


def test_pubsub_shard_channels_on_replicas_need_no_readonly(second: Site) -> None:
    """A replica serves its masters' shard channels, as in Redis Cluster."""
    client, publisher = (second.client(second.front.replica_port) for _ in range(2))
    assert client.ask("SSUBSCRIBE", "x") == CONFIRMED % (b"10", b"ssubscribe", b"1", b"x", 1)
    assert publisher.ask("SPUBLISH", "x", "1") == b":1\r\n"
    assert publisher.ask("SSUBSCRIBE", LED).startswith(b"-MOVED")


def test_pubsub_client_port_has_all_shard_channels(second: Site) -> None:
    """Whichever node is asked, of slots of any groups at once."""
    client, publisher = second.client(), second.client()
    client.send(request("SSUBSCRIBE", "x", LED))
    client.read()
    client.received = b""
    assert publisher.ask("SPUBLISH", "x", "1") == b":1\r\n"
    assert publisher.ask("SPUBLISH", LED, "1") == b":1\r\n"


def test_pubsub_tells_when_a_slot_has_moved(second: Site) -> None:
    """Who has subscribed where the slot was is told, and subscribed no more; others are left alone."""
    primary, kept = (second.client(second.front.primary_port) for _ in range(2))
    replica, anywhere = second.client(second.front.replica_port), second.client()
    assert primary.ask("SSUBSCRIBE", LED).endswith(b":1\r\n")
    assert primary.ask("SSUBSCRIBE", ALSO_LED).endswith(b":2\r\n")
    assert replica.ask("SSUBSCRIBE", "x").endswith(b":1\r\n")
    assert anywhere.ask("SSUBSCRIBE", LED).endswith(b":1\r\n")
    assert kept.ask("SUBSCRIBE", LED).endswith(b":1\r\n")
    move(second, LED, 3)
    primary.expect(CONFIRMED % (b"12", b"sunsubscribe", b"1", LED.encode(), 1))
    move(second, "x", 1)  # it follows group 1 as well
    for client in (primary, replica, anywhere, kept):
        client.expect(b"")
    move(second, "x", 2)  # which it leads: no slot of its replica port
    replica.expect(CONFIRMED % (b"12", b"sunsubscribe", b"1", b"x", 0))
    assert primary.ask("PING").startswith(b"*2")
    assert replica.ask("PING") == b"+PONG\r\n"
    assert second.front.channels.count(Book.SHARD, LED.encode()) == 1


def test_pubsub_outlives_a_leader(second: Site) -> None:
    """Another leader alone ends no subscription: every node hears of every message."""
    client = second.client(second.front.primary_port)
    client.ask("SSUBSCRIBE", LED)
    second.node.led_by[2] = 3
    second.tick()
    second.node.clients.published(Published(True, LED.encode(), b"1"))
    client.expect(message("smessage", LED, "1"))
    assert client.ask("SUNSUBSCRIBE", LED).endswith(b":0\r\n")
    assert client.ask("SSUBSCRIBE", LED).startswith(b"-MOVED")


def move(site: Site, channel: str, group: int) -> None:
    """Give a channel's slot to another group."""
    owners = list(site.node.group_of_slot)
    owners[key_slot(channel.encode())] = group
    site.node.group_of_slot = owners
    site.node.clients.map_changed()
    site.cycle()
