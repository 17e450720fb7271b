"""Limits: clients, buffers, slow readers, idle ones; and what happens beyond them."""

from __future__ import annotations

from contextlib import suppress

from tests.server.harness import Client, Site, request

MIB = 1 << 20


def fill(site: Site, size: int) -> Client:
    """A client; a value of `size` bytes is stored under `big`."""
    client = site.client()
    client.send(request("SET", "big", b"x" * size))
    client.expect(b"+OK\r\n")
    return client


def test_maxclients_refuses_the_next_one_in_words() -> None:
    """One client too many is told and closed; a place that becomes free is given."""
    with Site(maxclients=2) as site:
        first = site.client()
        site.client()
        late = site.client()
        late.connection = first.connection
        late.expect(b"-ERR max number of clients reached\r\n")
        assert late.sock.recv(1) == b""
        assert site.front.rejected == 1
        first.connection.close()
        assert site.client().ask("PING") == b"+PONG\r\n"


def test_query_buffer_limit_ends_a_client() -> None:
    """A request that is never finished is held up to the limit, then the client is cut off."""
    with Site(client_query_buffer_limit=2 * MIB, proto_max_bulk_len=MIB) as site:
        client = site.client()
        head = b"*1000\r\n"
        with suppress(ConnectionError):
            client.send(head + b"$1000000\r\n%b\r\n" % (b"x" * 1_000_000) * 3)
        assert client.closed
        assert site.front.cut_for_input == 1
        assert site.front.bytes_waiting == 0


def test_slow_reader_is_bounded_then_cut() -> None:
    """Replies that a client does not read are held up to client-output-buffer-limit; then it is cut off."""
    with Site(client_output_buffer_limit=8 * MIB) as site:
        client = fill(site, MIB)
        held = 0
        for _ in range(40):
            if client.connection.closed:
                break
            client.send(request("GET", "big"))
            held = max(held, site.front.bytes_waiting)
        assert client.closed
        assert MIB < held <= 9 * MIB
        assert site.front.cut_for_output == 1
        assert site.front.bytes_waiting == 0
        assert site.client().ask("STRLEN", "big") == b":%d\r\n" % MIB


def test_soft_limit_cuts_after_its_seconds() -> None:
    """Over the soft limit for longer than its seconds ends a client; a client that catches up is forgiven."""
    limits = {"client_output_buffer_soft_limit": MIB, "client_output_buffer_soft_seconds": 10}
    with Site(**limits) as site:
        stuck, slow = fill(site, 2 * MIB), site.client()
        for client in (stuck, slow):
            client.send(request("GET", "big") * 8)
        for _ in range(8):
            site.tick(1000)
        assert not stuck.closed
        slow.expect(b"$%d\r\n%b\r\n" % (2 * MIB, b"x" * 2 * MIB) * 8)
        for _ in range(5):
            site.tick(1000)
        assert stuck.closed
        assert not slow.closed


def test_total_limit_cuts_the_largest() -> None:
    """Over the limit of all clients together the one with the most unread replies is cut off."""
    with Site(maxmemory_clients=24 * MIB, client_output_buffer_limit=0) as site:
        large, small = fill(site, MIB), site.client()
        small.send(request("GET", "big") * 6)
        for _ in range(40):
            if large.connection.closed:
                break
            large.send(request("GET", "big"))
        assert large.closed
        assert not small.closed
        small.expect(b"$%d\r\n%b\r\n" % (MIB, b"x" * MIB) * 6)


def test_overloaded_node_stops_reading_until_it_is_not(site: Site) -> None:
    """Backpressure: while the node has too much to do no socket is read; nothing is lost."""
    client = site.client()
    site.node.overloaded = True
    site.tick()
    client.sock.send(request("SET", "a", "1"))
    site.cycle()
    assert client.read() == b""
    site.node.overloaded = False
    site.tick()
    client.expect(b"+OK\r\n")


def test_idle_client_is_closed_after_timeout() -> None:
    """`timeout` seconds without a command end a connection; those with a round out are not idle."""
    with Site(timeout=5) as site:
        idle, busy = site.client(), site.client()
        site.node.held = True
        busy.send(request("GET", "a"))
        for _ in range(7):
            site.tick(1000)
        assert idle.closed
        assert not busy.closed


def test_one_connection_with_endless_work_leaves_turns_to_others(site: Site) -> None:
    """A connection whose buffer never empties has its turns, between those of others."""
    greedy, other = site.client(), site.client()
    greedy.sock.send(request("HELLO", "2") * 2000)
    other.sock.send(request("PING"))
    site.reactor.cycle()
    site.reactor.cycle()
    assert other.sock.recv(100) == b"+PONG\r\n"
    assert site.front.connections[greedy.connection.number].unread_bytes or greedy.connection._walk
    site.cycle()
