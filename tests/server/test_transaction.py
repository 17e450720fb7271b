"""MULTI, EXEC, DISCARD, WATCH and UNWATCH, compared with a redis-server; and what they are beyond it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from redraft.accel.scan import key_slot
from redraft.base import limits
from redraft.server import transaction
from tests.commands.executors import encode
from tests.commands.oracle import Oracle, read_reply
from tests.server.harness import Client, Site, request

SCRIPTS: dict[str, str] = {
    "plain": "MULTI|SET a 1|INCR a|GET a|GET none|EXEC|GET a|EXEC|MULTI|EXEC|MULTI|GET a|EXEC",
    "states": """
        EXEC|DISCARD|UNWATCH|MULTI|MULTI|SET a 1|MULTI|WATCH a|EXEC|GET a|MULTI|DISCARD|EXEC|MULTI|SET a 2
        DISCARD|GET a|DISCARD|MULTI|UNWATCH|EXEC""",
    "words": """
        MULTI x|EXEC x|DISCARD x|WATCH|UNWATCH x|MULTI|EXEC x|EXEC|MULTI|MULTI x|EXEC|MULTI|WATCH|EXEC
        MULTI|DISCARD x|EXEC|MULTI|UNWATCH x|EXEC|MULTI|EXEC 1 1 2 x|PING""",
    "refused": """
        MULTI|FOO a b|SET a 1|EXEC|GET a|MULTI|SET a|EXEC|MULTI|CLIENT FOO|EXEC|MULTI|CLIENT GETNAME x|EXEC
        MULTI|OBJECT FOO x|EXEC|MULTI|SET a 1|GET|GET b|EXEC|GET a|MULTI|FOO|DISCARD|MULTI|CONFIG GET|EXEC""",
    "failing": """
        SET s x|MULTI|INCR s|SET a 1|INCRBY a x|INCR a|APPEND a 1|GETRANGE a 0|EXEC|MULTI|INCR s
        SET a 1 FOO|INCR a|SETEX a 0 x|EXEC|GET a|OBJECT ENCODING a""",
    "own": """
        MULTI|PING|ECHO e|SELECT 0|SELECT 9|SET a 1|CLIENT SETNAME me|GET a|CLIENT GETNAME|PING p q|EXEC
        CLIENT GETNAME|MULTI|PING|EXEC|MULTI|CLIENT GETNAME|SET a 5|INCR a|EXEC|MULTI|GET a
        CLIENT SETNAME x|EXEC|CLIENT GETNAME|MULTI|DEL a|SELECT 0|INCR a|ECHO x|ECHO y|INCR a|EXEC|MULTI
        CLIENT SETNAME gone|FOO|EXEC|CLIENT GETNAME|MULTI|PING|UNWATCH|AUTH|EXEC|MULTI|COMMAND COUNT x|PING
        EXEC|MULTI|AUTH x|AUTH a b c d|EXEC""",
    "hello": """
        MULTI|GET none|HELLO 3|GET none|SELECT 9|GET none|HELLO 2|GET none|EXEC|GET none|MULTI|HELLO 3 FOO
        GET none|HELLO 4|GET none|HELLO x|HELLO 3 SETNAME {sp}|EXEC|GET none|CLIENT GETNAME|MULTI|GET none
        HELLO 3|EXEC|GET none|HELLO 2""",
    "reset": "MULTI|SET a 1|RESET|EXEC|GET a|WATCH a|2:SET a 1|RESET|MULTI|GET a|EXEC",
    "watch": """
        WATCH a|MULTI|SET a 1|EXEC|WATCH a|2:SET a 2|MULTI|GET a|EXEC|MULTI|GET a|EXEC|WATCH a b|2:GET a
        MULTI|INCR a|EXEC|WATCH a|SET a 3|MULTI|GET a|EXEC|WATCH a|WATCH b|WATCH a|2:DEL a|MULTI|PING|EXEC
        WATCH a|2:INCR a|UNWATCH|MULTI|INCR a|EXEC|WATCH a|2:INCR a|MULTI|DISCARD|MULTI|INCR a|EXEC|WATCH a
        2:INCR a|MULTI|EXEC|WATCH a|MULTI|EXEC|WATCH a|2:SET a 7|MULTI|GET a|2:GET a|EXEC""",
    "watch_same_value": "SET a 1|WATCH a|2:SET a 1|MULTI|GET a|EXEC|WATCH a|2:EXPIRE a 100|MULTI|EXEC",
    "watch_nothing_changed": """
        WATCH a|2:DEL a|MULTI|PING|EXEC|SET a 1|WATCH a|2:SETNX a 2|2:GET a|2:INCR x|MULTI|GET a|EXEC
        WATCH a|2:EXPIRE b 10|2:PERSIST a|2:APPEND x y|2:GETRANGE a 0 1|2:INCRBY a x|MULTI|INCR a|EXEC
        SET s x|WATCH s|2:INCR s|2:RENAMENX a s|2:MSETNX a 1 q 2|MULTI|GET s|EXEC|WATCH q|2:GETDEL q|MULTI
        EXEC""",
    "watch_ways": """
        SET a 1|WATCH a|2:RENAME a b|MULTI|EXEC|WATCH a|2:COPY b a|MULTI|EXEC|WATCH a|2:GETDEL a|MULTI|EXEC
        WATCH a|2:MSET q 1 a 2|MULTI|EXEC|WATCH a|2:PEXPIRE a 100000|MULTI|EXEC|WATCH a|2:PERSIST a|MULTI
        EXEC|WATCH a|2:GETEX a EX 100|MULTI|EXEC|WATCH a|2:DEL q a|MULTI|EXEC|WATCH a|2:SETRANGE a 3 x
        MULTI|EXEC|WATCH a|2:SET a 1 NX|MULTI|EXEC|WATCH a|2:INCRBYFLOAT a 1|MULTI|EXEC|WATCH a
        2:EXPIRE a -1|MULTI|EXEC""",
    "watch_flush": """
        SET a 1|WATCH a|2:FLUSHALL|MULTI|PING|EXEC|WATCH a|2:FLUSHALL|MULTI|PING|EXEC|SET b 1|WATCH a
        2:FLUSHDB|MULTI|PING|EXEC|WATCH a|2:MULTI|2:SET a 1|2:EXEC|MULTI|GET a|EXEC|WATCH a|2:MULTI
        2:FLUSHALL|2:SET b 1|2:EXEC|MULTI|GET b|EXEC""",
    "whole": """
        MULTI|SET a 1|DBSIZE|KEYS *|RANDOMKEY|FLUSHALL|DBSIZE|SET b 1|FLUSHDB SYNC|FLUSHALL FOO|KEYS *
        RANDOMKEY|SET c 1|SCAN 0|SCAN x|EXEC|KEYS *|MULTI|DBSIZE|EXEC""",
    "quit": "MULTI|SET a 1|QUIT",
}
SCRIPTS["many"] = "|".join(
    ["MULTI", *(f"INCR k{number % 7}" for number in range(300)), "EXEC", "MULTI"]
    + [f"PING {number}|INCR k{number % 7}" for number in range(50)]
    + ["EXEC"]
)


def steps_of(script: str) -> list[tuple[int, list[bytes]]]:
    """(connection, request) of each step; connection 1 unless it says `2:`."""
    steps = []
    for step in script.replace("\n", "|").split("|"):
        connection, colon, line = step.strip().partition(":")
        if colon != ":" or not connection.isdigit():
            connection, line = "1", step.strip()
        words = [word.replace("{sp}", " ").encode() for word in line.split()]
        if words:
            steps.append((int(connection), words))
    return steps


class Theirs:
    """Connections to the oracle, made when they are first used."""

    def __init__(self, oracle: Oracle, proto: int) -> None:
        oracle.reset(2)
        self._oracle, self._proto = oracle, proto
        self._sockets: dict[int, socket.socket] = {}

    def ask(self, number: int, words: list[bytes]) -> bytes:
        sock = self._sockets.get(number)
        if sock is None:
            sock = self._sockets[number] = socket.create_connection(("127.0.0.1", self._oracle.port))
            self.ask(number, [b"HELLO", b"%d" % self._proto])
        sock.sendall(encode(words))
        with sock.makefile("rb", buffering=0) as stream:
            return read_reply(stream)  # type: ignore[arg-type]

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


@pytest.fixture
def one() -> Iterator[Site]:
    """A single group: keys of any slots may meet in a transaction."""
    with Site(groups=1) as site:
        yield site


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def proto(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def masked(words: list[bytes], reply: bytes) -> bytes:
    """A reply without what differs between any two servers."""
    return reply if b"\r\nserver\r\n" not in reply else reply[-5:] + reply[:4]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_transaction_step_by_step_is_redis_s(
    redis_server: Oracle, one: Site, proto: int, script: str
) -> None:
    """Every reply on every connection, one request at a time."""
    theirs = Theirs(redis_server, proto)
    ours: dict[int, Client] = {}
    for number, words in steps_of(script):
        if number not in ours:
            ours[number] = one.client()
            ours[number].ask("HELLO", str(proto))
        assert masked(words, ours[number].ask(*words)) == masked(words, theirs.ask(number, words)), words
    theirs.close()
    assert one.front.bytes_waiting == sum(client.connection.held_bytes for client in ours.values())


@pytest.mark.parametrize("cut", [1, 7, 100_000])
@pytest.mark.parametrize("script", [text for text in SCRIPTS.values() if "2:" not in text])
def test_transaction_in_a_pipeline_is_redis_s(
    redis_server: Oracle, one: Site, proto: int, script: str, cut: int
) -> None:
    """The same in one go, however it is cut into packets."""
    theirs = Theirs(redis_server, proto)
    client = one.client()
    client.ask("HELLO", str(proto))
    steps = steps_of(script)
    sent = b"".join(encode(words) for _, words in steps)
    if cut == 1 and len(sent) > 2000:
        cut = 11
    for at in range(0, len(sent), cut):
        client.send(sent[at : at + cut])
    for number, words in steps:
        assert masked(words, client.reply()) == masked(words, theirs.ask(number, words)), words
    theirs.close()


def test_transaction_is_one_request_of_its_group(site: Site) -> None:
    """What the group gets is one command, together with the plain ones around it; reads stay reads."""
    site.node.submitted = []
    client = site.client()
    pipeline = [("SET", "a", "1"), ("MULTI",), ("INCR", "a"), ("GET", "a"), ("EXEC",), ("GET", "a")]
    client.send(b"".join(request(*words) for words in pipeline))
    client.expect(b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\n2\r\n$1\r\n2\r\n")
    assert [(count, write) for _, _, count, write in site.node.submitted] == [(3, True)]
    site.node.submitted = []
    client.send(b"".join(request(*words) for words in [("MULTI",), ("GET", "a"), ("EXEC",)]))
    client.expect(b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\n2\r\n")
    assert [(count, write) for _, _, count, write in site.node.submitted] == [(1, False)]


def test_transaction_over_groups_is_crossslot(site: Site) -> None:
    """Keys of several groups: refused when queued if one command has them, else at EXEC."""
    client = site.client()
    client.ask("SET", "b", "0")
    for words in (("DEL", "a", "b", "c"), ("MGET", "a", "b", "c")):
        assert client.ask("MULTI") == b"+OK\r\n"
        assert client.ask(*words).startswith(b"-CROSSSLOT Keys in request don't hash to the same slot")
        assert client.ask("EXEC").startswith(b"-EXECABORT")
    client.ask("MULTI")
    for key in ("a", "b", "c"):
        assert client.ask("INCR", key) == b"+QUEUED\r\n"
    assert client.ask("EXEC").startswith(b"-CROSSSLOT Keys in request")
    assert client.ask("EXEC") == b"-ERR EXEC without MULTI\r\n"
    assert client.ask("GET", "b") == b"$1\r\n0\r\n"
    assert client.ask("WATCH", "a", "b", "c").startswith(b"-CROSSSLOT")


def test_transaction_counts_watched_keys_as_keys(site: Site) -> None:
    """A key watched in one group and commands for another can't be one."""
    client = site.client()
    groups = {site.node.group_of_slot[key_slot(key.encode())]: key for key in "abcdefgh"}
    first, second = list(groups.values())[:2]
    assert client.ask("WATCH", first) == b"+OK\r\n"
    assert client.ask("WATCH", second).startswith(b"-CROSSSLOT")
    client.ask("MULTI")
    client.ask("INCR", second)
    assert client.ask("EXEC").startswith(b"-CROSSSLOT")
    assert client.ask("WATCH", second) == b"+OK\r\n"
    client.ask("MULTI")
    client.ask("INCR", second)
    assert client.ask("EXEC") == b"*1\r\n:1\r\n"


def test_transaction_of_cluster_ports_has_one_slot(site: Site) -> None:
    """On the primary port keys are of one slot, as for any command there; other nodes' keys are MOVED."""
    client = site.client(site.front.primary_port)
    client.ask("MULTI")
    client.ask("INCR", "{t}a")
    client.ask("INCR", "{t}b")
    assert client.ask("EXEC") == b"*2\r\n:1\r\n:1\r\n"
    site.node.led_by = dict.fromkeys(site.node.led_by, 2)
    site.tick()
    client.ask("MULTI")
    assert client.ask("INCR", "{t}a").startswith(b"-MOVED")
    assert client.ask("EXEC").startswith(b"-EXECABORT")
    assert client.ask("WATCH", "{t}a").startswith(b"-MOVED")


def test_transaction_with_whole_keyspace_needs_one_group(site: Site) -> None:
    """DBSIZE and its like ask every group: refused when queued, in words."""
    client = site.client()
    for name in ("DBSIZE", "FLUSHALL", "RANDOMKEY"):
        client.ask("MULTI")
        assert client.ask(name) == (
            b"-CROSSSLOT '%b' asks every group; inside a transaction there is one\r\n" % name.lower().encode()
        )
        assert client.ask("EXEC").startswith(b"-EXECABORT")


@pytest.mark.parametrize(
    "words",
    ["CLIENT REPLY OFF", "CLUSTER COUNTKEYSINSLOT 1", "REDRAFT REMOVE-NODE 2", "CLUSTER GETKEYSINSLOT 1 1"],
)
def test_transaction_refuses_what_can_not_be_in_it(site: Site, words: str) -> None:
    """What would answer elsewhere or not at all, with Redis's words for such commands."""
    client = site.client()
    client.ask("MULTI")
    assert client.ask(*words.split()) == b"-ERR Command not allowed inside a transaction\r\n"
    assert client.ask("EXEC").startswith(b"-EXECABORT")


@pytest.mark.parametrize("groups", [1, 3])
def test_transaction_of_the_node_s_own_commands_asks_no_group(groups: int) -> None:
    """PING, INFO and their like run where they are; with a watched key its group is asked."""
    with Site(groups=groups) as site:
        client = site.client()
        site.node.submitted = []
        client.ask("MULTI")
        client.ask("PING")
        client.ask("INFO", "server")
        assert client.ask("EXEC").startswith(b"*2\r\n+PONG\r\n$")
        assert site.node.submitted == []
        client.ask("WATCH", "a")
        client.ask("MULTI")
        client.ask("PING")
        assert client.ask("EXEC") == b"*1\r\n+PONG\r\n"
        assert [(count, write) for _, _, count, write in site.node.submitted] == [(1, False)] * 2


def test_transaction_refused_by_its_group_runs_nothing_of_the_node(one: Site) -> None:
    """A changed key keeps the node's own commands back too."""
    client, other = one.client(), one.client()
    client.ask("WATCH", "a")
    other.ask("SET", "a", "1")
    for words in (["MULTI"], ["CLIENT", "SETNAME", "no"], ["HELLO", "3"], ["GET", "a"]):
        client.ask(*words)
    assert client.ask("EXEC") == b"*-1\r\n"
    assert client.ask("CLIENT", "GETNAME") == b"$-1\r\n"


def test_exec_as_groups_know_it_is_not_for_clients(one: Site) -> None:
    """EXEC with arguments is refused for their number, in and outside of MULTI."""
    client = one.client()
    words = (b"EXEC", b"1", b"1", b"2", request("SET", "a", "1"))
    for before in ((), ("MULTI",)):
        if before:
            client.ask(*before)
        assert client.ask(*words).startswith(b"-EXECABORT Transaction discarded because of: wrong number")
    assert client.ask("GET", "a") == b"$-1\r\n"


def test_transaction_over_its_limits_is_aborted(one: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and commands have a limit, told when it is met; the queue is let go at EXEC."""
    assert limits.TRANSACTION_BYTES_MAX >= 1 << 20
    client = one.client()
    for name, value in (("TRANSACTION_BYTES_MAX", 100), ("TRANSACTION_COMMANDS_MAX", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(transaction, name, value)
            client.ask("MULTI")
            replies = [client.ask("INCR", "a") for _ in range(6)]
            assert replies[0] == b"+QUEUED\r\n"
            assert replies.count(
                b"-ERR The transaction is too large; use several, or a pipeline without MULTI\r\n"
            )
            assert one.front.bytes_waiting > 0
            assert client.ask("EXEC").startswith(b"-EXECABORT")
            assert one.front.bytes_waiting == 0


def test_client_list_shows_transactions(one: Site) -> None:
    """multi= counts what is queued, watch= what is watched; a connection that ends gives the memory back."""
    client, other = one.client(), one.client()
    client.ask("WATCH", "a", "b")
    client.ask("MULTI")
    client.ask("SET", "a", "1")
    line = other.ask("CLIENT", "LIST", "ID", str(client.connection.number)).decode()
    assert " flags=x " in line
    assert " multi=1 watch=2 " in line
    info = other.ask("INFO", "clients")
    assert b"watching_clients:1\r\n" in info
    assert b"total_watched_keys:2\r\n" in info
    assert one.front.bytes_waiting == client.connection.held_bytes > 0
    client.sock.close()
    one.cycle()
    assert one.front.bytes_waiting == 0


def test_watch_that_fails_watches_nothing(one: Site) -> None:
    """The group's error is the reply."""
    client = one.client()
    one.node.held = True
    client.send(request("WATCH", "a"))
    one.node.waiting.popleft().fail(b"-CLUSTERDOWN no\r\n")
    client.expect(b"-CLUSTERDOWN no\r\n")
    assert client.connection.watch is None


def test_watch_pipelined_with_its_transaction(one: Site) -> None:
    """WATCH, GET, MULTI, SET, EXEC in one packet; the second time the watched key has changed since."""
    client, other = one.client(), one.client()
    lines = [("WATCH", "a"), ("GET", "a"), ("MULTI",), ("SET", "a", "2"), ("EXEC",)]
    client.send(b"".join(request(*words) for words in lines))
    client.expect(b"+OK\r\n$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
    one.node.held = True
    client.send(b"".join(request(*words) for words in lines))
    one.node.release()
    one.cycle()
    one.node.held = False
    assert other.ask("SET", "a", "9") == b"+OK\r\n"
    one.node.release()
    client.expect(b"+OK\r\n$1\r\n9\r\n+OK\r\n+QUEUED\r\n*-1\r\n")
