"""Small talk and the connection's own state: in Redis's words, compared with redis-server."""

from __future__ import annotations

import re
import socket

import pytest

from redraft.commands.table import COMMANDS, Kind
from redraft.server.local import HANDLERS
from tests.commands.oracle import Oracle, read_reply
from tests.server.harness import Site, request


@pytest.mark.parametrize(
    "line",
    [
        "PING",
        "PING hello",
        "PING a b",
        "ECHO x",
        "ECHO",
        "echo a b",
        "NOPE",
        "nope a b c",
        "GET",
        "GET a b",
        "SET a",
        "SELECT 0",
        "SELECT 1",
        "SELECT x",
        "AUTH x",
        "AUTH default x",
        "AUTH nobody x",
        "AUTH a b c",
        "HELLO 1",
        "HELLO 4",
        "HELLO x",
        "HELLO 2 FOO",
        "HELLO 2 AUTH nobody x",
        "HELLO 2 AUTH default",
        "HELLO 2 SETNAME",
        "CLIENT",
        "CLIENT FOO",
        "CLIENT ID x",
        "CLIENT GETNAME",
        "CLIENT SETNAME x",
        "CLIENT REPLY x",
        "CLIENT NO-EVICT x",
        "CLIENT NO-EVICT on",
        "CLIENT KILL 1.2.3.4:5",
        "CLIENT KILL ID 0",
        "CLIENT KILL ID x",
        "CLIENT KILL TYPE foo",
        "CLIENT KILL USER nobody",
        "CLIENT KILL ADDR 1.2.3.4:5",
        "CLIENT KILL SKIPME maybe",
        "CLIENT KILL ID 999999 SKIPME yes",
        "CLIENT LIST TYPE foo",
        "CLIENT LIST TYPE pubsub",
        "CLIENT LIST FOO",
        "CLIENT LIST ID x",
        "CLIENT LIST ID 999999",
        "OBJECT",
        "OBJECT FOO",
        "CONFIG",
        "CONFIG FOO",
        "CONFIG GET",
        "CONFIG SET",
        "CONFIG SET maxmemory",
        "CONFIG SET nope 1",
        "CONFIG SET databases 5",
        "CONFIG GET nope",
        "CONFIG GET maxmemor[y]",
        "CONFIG GET maxmemory*olicy",
        "CONFIG GET save",
        "COMMAND FOO",
        "COMMAND COUNT x",
        "COMMAND GETKEYS GET",
        "COMMAND GETKEYS GET a",
        "COMMAND GETKEYS MSET a b c d",
        "COMMAND GETKEYS PING",
        "COMMAND GETKEYS NOPE a",
        "COMMAND GETKEYSANDFLAGS MSET a b c d",
        "COMMAND INFO nope",
        "COMMAND DOCS nope",
        "COMMAND LIST FILTERBY FOO x",
        "COMMAND LIST FILTERBY MODULE x",
        "CLUSTER",
        "CLUSTER FOO",
        "SCAN x",
        "FLUSHALL FOO",
        "DBSIZE x",
        "RANDOMKEY",
        "KEYS",
        "RESET",
        "QUIT",
    ],
)
def test_replies_are_redis_servers(site: Site, redis_server: Oracle, line: str) -> None:
    """Errors and simple answers are those of a redis-server, byte for byte."""
    theirs = fresh(redis_server, line.split(" "))
    assert site.client().ask(*line.split(" ")) == theirs


def fresh(server: Oracle, words: list[str]) -> bytes:
    """The server's reply on a new connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock, sock.makefile("rb") as stream:
        sock.sendall(request(*words))
        return read_reply(stream)


@pytest.mark.parametrize("proto", [2, 3])
def test_hello_says_who_answers(site: Site, proto: int) -> None:
    """HELLO has Redis's fields; the name is set only when all of it is right."""
    client = site.client()
    sign = b"*14" if proto == 2 else b"%7"
    reply = client.ask("HELLO", str(proto), "AUTH", "default", "any", "SETNAME", "me")
    assert reply.startswith(sign + b"\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n")
    assert b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" in reply
    assert client.ask("CLIENT", "GETNAME") == b"$2\r\nme\r\n"
    assert client.ask("HELLO", "2", "SETNAME", "a b").startswith(b"-ERR Client names cannot contain spaces")
    assert client.connection.proto == proto
    assert client.ask("RESET") == b"+RESET\r\n"
    assert (client.connection.proto, client.connection.name) == (2, b"")


def test_hello_on_the_cluster_ports_says_cluster(site: Site) -> None:
    """Mode and role answer per port; that CLUSTER answers is true of all, and redis-cli asks for it."""
    primary, replica = site.client(site.front.primary_port), site.client(site.front.replica_port)
    assert b"$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" in primary.ask("HELLO", "2")
    assert b"$4\r\nrole\r\n$7\r\nreplica\r\n" in replica.ask("HELLO", "2")
    assert b"cluster_enabled:1" in primary.ask("INFO", "cluster")
    assert b"cluster_enabled:1" in site.client().ask("INFO", "cluster")
    assert b"role:slave" in replica.ask("INFO", "replication")


def test_client_list_describes_connections_as_redis_does(site: Site, redis_server: Oracle) -> None:
    """The fields of CLIENT LIST of Redis 7.0 in its order, 7.2's library name and version, 7.4's watch."""
    client = site.client()
    client.ask("CLIENT", "SETNAME", "me")
    client.ask("CLIENT", "SETINFO", "LIB-NAME", "lib")
    client.ask("CLIENT", "SETINFO", "LIB-VER", "1.2")
    text = client.ask("CLIENT", "LIST").split(b"\r\n")[1].decode()
    assert text == client.ask("CLIENT", "INFO").split(b"\r\n")[1].decode()
    theirs = fresh(redis_server, ["CLIENT", "INFO"]).split(b"\r\n")[1].decode()
    names = [field.partition("=")[0] for field in text.split()]
    assert names.pop(names.index("multi") + 1) == "watch"
    assert names == [field.partition("=")[0] for field in theirs.split()] + ["lib-name", "lib-ver"]
    fields = dict(field.partition("=")[::2] for field in text.split())
    assert (fields["name"], fields["lib-name"], fields["lib-ver"], fields["cmd"]) == (
        "me",
        "lib",
        "1.2",
        "client",
    )
    assert re.fullmatch(r"127\.0\.0\.1:\d+", fields["addr"])


def test_client_kill_ends_those_its_filters_mean(site: Site) -> None:
    """By address, by id, by type; oneself only with SKIPME no, and then after the reply."""
    me, one, two = site.client(), site.client(), site.client()
    assert me.ask("CLIENT", "KILL", one.connection.address) == b"+OK\r\n"
    assert one.closed
    assert me.ask("CLIENT", "KILL", "ID", str(two.connection.number)) == b":1\r\n"
    assert two.closed
    assert me.ask("CLIENT", "KILL", "TYPE", "normal") == b":0\r\n"
    assert me.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no") == b":1\r\n"
    assert me.closed


def test_time_is_seconds_and_microseconds(site: Site) -> None:
    """TIME has two bulk strings."""
    assert re.fullmatch(rb"\*2\r\n\$10\r\n\d{10}\r\n\$\d\r\n\d+\r\n", site.client().ask("TIME"))


def test_every_local_command_has_a_handler() -> None:
    """The table's local and whole-keyspace rows and the handlers are the same."""
    rows = {row.name for row in COMMANDS if row.kind == Kind.LOCAL or row.whole}
    assert rows == set(HANDLERS)
