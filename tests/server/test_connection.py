"""A connection: rounds, order, pipelines cut anywhere, protocol errors, ends."""

from __future__ import annotations

import random
import socket

import pytest

from redraft.accel.scan import key_slot
from redraft.server.limits import READ_BYTES, ROUNDS_PER_TURN
from tests.server.harness import Client, Site, request

GROUPS = {1: b"k13", 2: b"k1", 3: b"k0"}


def keys_of(site: Site) -> dict[int, bytes]:
    """A key for each group."""
    found: dict[int, bytes] = {}
    for number in range(1000):
        key = b"k%d" % number
        found.setdefault(site.node.group_of_slot[key_slot(key)], key)
    return found


def test_pipeline_is_one_request_when_one_group_owns_all_keys() -> None:
    """With one group the read buffer itself is handed down, keys of several slots and all."""
    with Site(groups=1) as site:
        client = site.client()
        site.node.submitted = []
        data = request("SET", "a", "1") + request("MSET", "b", "2", "c", "3") + request("GET", "a")
        client.send(data)
        client.expect(b"+OK\r\n+OK\r\n$1\r\n1\r\n")
        assert site.node.submitted == [(1, data, 3, True)]


@pytest.mark.parametrize("odd", [b"", request("PING")], ids=["plain", "with one for no group"])
def test_pipeline_is_split_by_group_in_order(site: Site, odd: bytes) -> None:
    """Each group gets its commands in one request, in the order sent; reads alone are a read."""
    keys = keys_of(site)
    client = site.client()
    site.node.submitted = []
    first = [request("SET", keys[1], "x"), request("GET", keys[2]), request("GET", keys[1])]
    client.send(b"".join(first) + odd)
    client.expect(b"+OK\r\n$-1\r\n$1\r\nx\r\n" + (b"+PONG\r\n" if odd else b""))
    assert site.node.submitted == [(1, first[0] + first[2], 2, True), (2, first[1], 1, False)]


@pytest.mark.parametrize("odd", [b"", request("PING")], ids=["plain", "with one for no group"])
def test_replies_come_in_the_order_of_commands_whatever_the_groups_order(site: Site, odd: bytes) -> None:
    """Groups that answer late or in another order change nothing for the client."""
    keys = keys_of(site)
    client = site.client()
    client.send(b"".join(request("SET", keys[group], str(group)) for group in (1, 2, 3)))
    client.expect(b"+OK\r\n" * 3)
    site.node.held = True
    client.send(b"".join(request("GET", keys[group]) for group in (3, 1, 2, 1)) + odd)
    assert client.read() == b""
    site.node.release(last_first=True)
    replies = b"$1\r\n3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n1\r\n"
    client.expect(replies + (b"+PONG\r\n" if odd else b""))


def test_connection_has_one_round_out(site: Site) -> None:
    """What comes while a round is out is not even read; it is the next round."""
    client = site.client()
    site.node.held = True
    client.send(request("INCR", "n"))
    client.send(request("INCR", "n"))
    client.send(request("INCR", "n"))
    assert len(site.node.waiting) == 1
    site.node.release()
    site.cycle()
    assert [r.count for r in site.node.waiting] == [2]
    site.node.release()
    client.expect(b":1\r\n:2\r\n:3\r\n")


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50])
def test_requests_may_be_split_anywhere(site: Site, step: int) -> None:
    """A stream of plain, local, divided, unknown and inline commands says the same in pieces of any size."""
    stream = b"".join(
        (
            request("SET", "a", "1"),
            request("PING"),
            b"SET inline 'x y'\r\n",
            request("DEL", "a", "b", "c", "d", "inline"),
            b"\r\n*0\r\n",
            request("NOPE", "x"),
            request("SET", "big", "v" * 300),
            request("STRLEN", "big"),
            request("DBSIZE"),
            request("HELLO", "9"),
            request("ECHO", "end"),
        )
    )
    expected = (
        b"+OK\r\n+PONG\r\n+OK\r\n:2\r\n-ERR unknown command 'NOPE', with args beginning with: 'x' \r\n"
        b"+OK\r\n:300\r\n:1\r\n-NOPROTO unsupported protocol version\r\n$3\r\nend\r\n"
    )
    client = site.client()
    for at in range(0, len(stream), step):
        client.send(stream[at : at + step])
    client.expect(expected)


def test_requests_behind_inline_lines_are_taken_with_them(site: Site) -> None:
    """Blank and inline lines, and what follows them in the same packet, of either kind."""
    client = site.client()
    client.send(b"\r\n" + request("PING") + b"\r\n\r\nPING\r\n*0\r\n" + request("PING") + b"ECHO x\nPI")
    client.expect(b"+PONG\r\n+PONG\r\n+PONG\r\n$1\r\nx\r\n")
    client.send(b"NG\r\n")
    client.expect(b"+PONG\r\n")


def test_large_values_arrive_in_pieces_and_leave_in_pieces(site: Site) -> None:
    """A value of some megabytes, and many commands behind it in the same stream."""
    value = random.Random(7).randbytes(5_000_000)
    client = site.client()
    client.send(request("SET", "big", value) + request("STRLEN", "big") * 3)
    client.expect(b"+OK\r\n" + b":5000000\r\n" * 3)
    assert site.front.bytes_waiting == 0
    client.send(request("GET", "big"))
    client.expect(b"$5000000\r\n" + value + b"\r\n")
    assert site.front.bytes_waiting == 0


@pytest.mark.parametrize("size", [READ_BYTES, 2 * READ_BYTES, 3 * READ_BYTES - 1])
def test_value_that_is_there_at_once_is_read_at_once(site: Site, size: int) -> None:
    """A request larger than one read that arrived whole: there is one event, and no other will come."""
    client = site.client()
    client.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    client.sock.sendall(request("SET", "big", bytes(size)))
    client.expect(b"+OK\r\n")


def test_command_of_very_many_arguments_is_scanned_in_linear_time(site: Site) -> None:
    """300,000 arguments, unfinished for most of the time, take about as long as they should."""
    client = site.client()
    client.send(request("EXISTS", *[b"k" for _ in range(300_000)]))
    client.expect(b":0\r\n")


def test_long_pipeline_is_taken_in_rounds(site: Site) -> None:
    """A pipeline longer than a round's limit is answered whole and in order."""
    client = site.client()
    client.send(request("INCR", "n") * 20_000)
    client.expect(b"".join(b":%d\r\n" % n for n in range(1, 20_001)))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*x\r\n", b"invalid multibulk length"),
        (b"*2000000000\r\n", b"invalid multibulk length"),
        (b"*1\r\n:5\r\n", b"expected '$', got ':'"),
        (b"*1\r\n$-2\r\n", b"invalid bulk length"),
        (b"*1\r\n$600000000\r\n", b"invalid bulk length"),
        (b"*" + b"1" * 70_000, b"too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 70_000, b"too big bulk count string"),
        (b"x" * 70_000, b"too big inline request"),
        (b"GET 'a\r\n", b"unbalanced quotes in request"),
        (b'GET "a"b\r\n', b"unbalanced quotes in request"),
    ],
)
def test_protocol_error_is_told_and_ends_the_connection(site: Site, data: bytes, error: bytes) -> None:
    """What came before is answered, then the error in Redis's words, then the connection is closed."""
    client = site.client()
    client.send(request("PING") + data)
    client.expect(b"+PONG\r\n-ERR Protocol error: " + error + b"\r\n")
    assert client.closed


def test_quit_answers_and_closes_and_what_follows_is_not_done(site: Site) -> None:
    """QUIT is the last command of a connection."""
    client = site.client()
    client.send(request("SET", "a", "1") + request("QUIT") + request("SET", "a", "2"))
    client.expect(b"+OK\r\n+OK\r\n")
    assert client.closed
    assert site.client().ask("GET", "a") == b"$1\r\n1\r\n"


def test_nothing_is_done_behind_quit_while_replies_wait(site: Site) -> None:
    """A client that does not read its replies can't have commands carried out after its QUIT."""
    client = site.client()
    client.send(request("SET", "big", b"x" * 4_000_000))
    client.expect(b"+OK\r\n")
    client.send(request("GET", "big") * 4 + request("QUIT"))
    assert not client.closed
    client.send(request("DEL", "big"))
    client.expect(b"$4000000\r\n%b\r\n" % (b"x" * 4_000_000) * 4 + b"+OK\r\n")
    assert client.closed
    assert site.client().ask("EXISTS", "big") == b":1\r\n"


def test_commands_sent_before_the_end_are_carried_out_and_answered(site: Site) -> None:
    """A client that shuts down its sending side still gets its replies (`... | nc`)."""
    import socket

    client = site.client()
    site.node.held = True
    client.send(request("SET", "a", "1"))
    client.sock.shutdown(socket.SHUT_WR)
    site.cycle()
    assert not client.closed
    site.node.release()
    client.expect(b"+OK\r\n")
    assert client.closed


def test_client_that_is_gone_does_not_matter_to_its_round(site: Site) -> None:
    """A round whose client has closed completes into nothing."""
    client = site.client()
    site.node.held = True
    client.send(request("SET", "a", "1"))
    client.connection.close()
    site.node.release()
    site.cycle()
    assert not site.front.connections
    site.node.held = False
    assert site.client().ask("GET", "a") == b"$1\r\n1\r\n"


def test_client_reply_off_and_skip_leave_out_replies(site: Site) -> None:
    """OFF is silent until ON, which is answered; SKIP leaves out the next reply."""
    client = site.client()
    client.send(request("CLIENT", "REPLY", "OFF") + request("SET", "a", "1") + request("NOPE"))
    client.send(request("PING") + request("CLIENT", "REPLY", "ON") + request("GET", "a"))
    client.expect(b"+OK\r\n$1\r\n1\r\n")
    client.send(request("CLIENT", "REPLY", "SKIP") + request("GET", "a") + request("GET", "a"))
    client.expect(b"$1\r\n1\r\n")
    client.send(request("CLIENT", "REPLY", "SKIP") + request("PING") + request("ECHO", "x"))
    client.expect(b"$1\r\nx\r\n")


def test_barrier_takes_effect_between_the_commands_around_it(site: Site) -> None:
    """HELLO in the middle of a pipeline changes the protocol of what follows only."""
    client = site.client()
    client.send(request("GET", "nil") + request("HELLO", "3") + request("GET", "nil"))
    data = client.read()
    assert data.startswith(b"$-1\r\n%7\r\n")
    assert data.endswith(b"_\r\n")


@pytest.mark.parametrize("seed", range(8))
def test_any_garbage_is_answered_or_refused_and_hurts_nobody_else(site: Site, seed: int) -> None:
    """Bytes of all kinds never raise, never leave a connection without reply or end, never leak buffers."""
    source = random.Random(seed)
    bystander = site.client()
    pieces = [
        request("SET", "a", "1"),
        request("DEL", "a", "b", "c"),
        b"*3\r\n$3\r\n",
        b"PING\r\n",
        b"\x00\xff",
    ]
    pieces += [
        b"*-1\r\n",
        b"$5\r\nhello\r\n",
        b"\r\n",
        request("HELLO", "3"),
        request("SCAN", "5"),
        b"*1\r\n$0\r\n\r\n",
    ]
    for _ in range(60):
        client = Client(
            site, source.choice([site.front.client_port, site.front.primary_port, site.front.replica_port])
        )
        site.clients.append(client)
        data = b"".join(source.choice(pieces) for _ in range(source.randrange(1, 9)))
        data = bytearray(data)
        for _ in range(source.randrange(3)):
            data[source.randrange(len(data))] = source.randrange(256)
        client.sock.setblocking(True)
        client.sock.sendall(data)
        client.sock.setblocking(False)
        client.read()
        client.sock.close()
        site.cycle()
        assert client.closed
    assert site.front.bytes_waiting == 0
    assert list(site.front.connections.values()) == [bystander.connection]
    assert bystander.ask("PING") == b"+PONG\r\n"


@pytest.mark.parametrize("rounds", [0, 1, ROUNDS_PER_TURN, ROUNDS_PER_TURN + 1, 3 * ROUNDS_PER_TURN + 1])
def test_what_is_taken_up_late_in_a_cycle_does_not_wait_for_a_tick(site: Site, rounds: int) -> None:
    """Commands that take a turn each, and behind them one for a group: the node hears of it next cycle."""
    site.node.held = site.prompt = True
    client = site.client()
    client.send(request("CONFIG", "GET", "maxmemory") * rounds + request("SET", "a", "1"))
    for _ in range(rounds):
        assert b"maxmemory" in client.reply()
    client.expect(b"+OK\r\n")
