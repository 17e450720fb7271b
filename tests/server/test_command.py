"""COMMAND, CONFIG and INFO: what follows from the tables, as clients read it."""

from __future__ import annotations

import json
from typing import Any

import hiredis
import pytest

from redraft.commands.table import COMMANDS
from redraft.server.local.usage import arguments_of
from tests.commands.oracle import Oracle
from tests.server.harness import Client, Site, request
from tests.server.test_session import fresh


def parsed(reply: bytes) -> Any:
    """The reply as Python values, text for bytes."""
    reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
    reader.feed(reply)
    return reader.gets()


def ask3(client: Client, *words: str) -> Any:
    """A reply in RESP3 as Python values."""
    if client.connection.proto != 3:
        client.ask("HELLO", "3")
    return parsed(client.ask(*words))


@pytest.mark.parametrize(
    "name",
    [
        "get",
        "set",
        "mset",
        "del",
        "rename",
        "scan",
        "object",
        "ping",
        "info",
        "lcs",
        "lmove",
        "lmpop",
        "xread",
        "xreadgroup",
    ],
)
def test_command_info_is_redis_servers(site: Site, redis_server: Oracle, name: str) -> None:
    """Arity, keys, flags and key specifications of a command are those of redis-server."""
    ours = parsed(site.client().ask("COMMAND", "INFO", name))[0]
    theirs = parsed(fresh(redis_server, ["COMMAND", "INFO", name]))[0]
    assert ours[:2] == theirs[:2]
    assert ours[3:6] == theirs[3:6]
    assert sorted(ours[2]) == sorted(theirs[2])
    assert [spec[-4:] for spec in ours[8]] == [spec[-4:] for spec in theirs[8]]
    assert sorted(row[0] for row in ours[9]) == sorted(row[0] for row in theirs[9])


@pytest.mark.parametrize(
    "line",
    [
        "LMPOP 2 a b LEFT", "LMPOP 0 a LEFT", "LMPOP x a LEFT", "LMPOP 3 a LEFT", "LMPOP 1 a",
        "XREAD COUNT 1 BLOCK 3 STREAMS a b 0 0", "XREAD COUNT 1 STREAMS", "XREAD COUNT 2 a b",
        "XREAD STREAMS a b c", "XREADGROUP GROUP STREAMS c STREAMS a 0", "LMOVE a b LEFT LEFT",
        "MSET a 1 b 2", "RENAME a b", "GET a b", "OBJECT ENCODING a", "OBJECT HELP", "PING x", "NOPE x",
    ],
)  # fmt: skip
def test_command_getkeys_finds_redis_keys(site: Site, redis_server: Oracle, line: str) -> None:
    """COMMAND GETKEYS replies as redis-server does, wherever the keys stand."""
    words = ["COMMAND", "GETKEYS", *line.split()]
    assert site.client().ask(*words) == fresh(redis_server, words)


def test_command_getkeysandflags_has_flags_by_specification(site: Site) -> None:
    """Each key is shown with the flags of the specification that finds it."""
    found = ask3(site.client(), "COMMAND", "GETKEYSANDFLAGS", "LMOVE", "a", "b", "LEFT", "LEFT")
    assert [(key, sorted(flags)) for key, flags in found] == [
        ("a", ["RW", "access", "delete"]),
        ("b", ["RW", "insert"]),
    ]


def test_command_list_count_and_docs_cover_the_table(site: Site) -> None:
    """COUNT counts commands; LIST has subcommands too; DOCS has an entry for each."""
    client = site.client()
    assert client.ask("COMMAND", "COUNT") == b":%d\r\n" % len(COMMANDS)
    assert len(parsed(client.ask("COMMAND"))) == len(COMMANDS)
    listed = parsed(client.ask("COMMAND", "LIST"))
    assert len(listed) == len(COMMANDS) + sum(len(command.subcommands) for command in COMMANDS)
    assert "client|kill" in parsed(client.ask("COMMAND", "LIST", "FILTERBY", "PATTERN", "client|k*"))
    assert "get" in parsed(client.ask("COMMAND", "LIST", "FILTERBY", "ACLCAT", "read"))
    docs = ask3(client, "COMMAND", "DOCS")
    assert len(docs) == len(COMMANDS)
    assert all({"summary", "since", "group", "complexity"} <= set(each) for each in docs.values())
    assert set(docs["client"]["subcommands"]) >= {"client|id", "client|list"}


def test_command_docs_has_arguments_for_hints(site: Site) -> None:
    """The usage of SET as redis-cli's hints want it."""
    arguments = ask3(site.client(), "COMMAND", "DOCS", "SET")["set"]["arguments"]
    assert [argument["name"] for argument in arguments][:2] == ["key", "value"]
    assert arguments[0]["type"] == "key"
    condition = next(each for each in arguments if each["type"] == "oneof")
    assert [each["token"] for each in condition["arguments"]] == ["NX", "XX"]
    assert "optional" in condition["flags"]


def test_usage_lines_become_argument_trees() -> None:
    """Repetition, alternatives, tokens with values, blocks."""
    key, count = arguments_of("key [key ...] [COUNT count]", has_key=True)
    assert isinstance(key, dict)
    assert isinstance(count, dict)
    assert key["flags"] == ["multiple"]
    assert (count["token"], count["type"], count["flags"]) == ("COUNT", "integer", ["optional"])
    (block,) = arguments_of("[LEN|IDX MINMATCHLEN size]", has_key=False)
    assert isinstance(block, dict)
    assert block["type"] == "oneof"


def test_every_usage_line_can_be_read() -> None:
    """No row of the table has a usage that makes no tree."""
    for command in COMMANDS:
        for row in (command, *command.subcommands):
            if row.usage:
                assert arguments_of(row.usage, has_key=bool(row.keys[0])), row.name


def test_config_get_shows_settings_by_pattern(site: Site) -> None:
    """Names with dashes, sizes as numbers, several patterns; secrets are not shown."""
    client = site.client()
    found = ask3(client, "CONFIG", "GET", "max*", "PORT", "save")
    assert found["maxclients"] == "10000"
    assert found["maxmemory"] == "0"
    assert found["port"] == "6379"
    assert found["save"] == ""
    everything = ask3(client, "CONFIG", "GET", "*")
    assert everything["proto-max-bulk-len"] == str(512 << 20)
    assert "cluster-secret" not in everything


def test_config_set_puts_live_settings_in_force(site: Site) -> None:
    """All of one CONFIG SET or nothing; the node hears of it; what can't be changed says so."""
    client = site.client()
    assert client.ask("CONFIG", "SET", "maxclients", "5", "proto-max-bulk-len", "1mb") == b"+OK\r\n"
    assert site.node.config.maxclients == site.front.config.maxclients == 5
    client.send(b"*2\r\n$3\r\nGET\r\n$1048577\r\n")
    client.expect(b"-ERR Protocol error: invalid bulk length\r\n")
    client = site.client()
    limits = "normal 1048576 0 0 replica 0 0 0"
    assert client.ask("CONFIG", "SET", "client-output-buffer-limit", limits) == b"+OK\r\n"
    assert site.front.config.client_output_buffer_limit == 1 << 20
    failed = b"-ERR CONFIG SET failed (possibly related to argument 'maxclients') - "
    assert client.ask("CONFIG", "SET", "maxclients", "0", "timeout", "9").startswith(failed)
    assert site.front.config.timeout == 0
    assert b"can't set immutable config" in client.ask("CONFIG", "SET", "port", "1")
    assert client.ask("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"


def test_info_has_redis_fields_by_section(site: Site) -> None:
    """Sections asked for, or all; with what the node tells of keys and Raft."""
    client = site.client()
    client.send(request("SET", "a", "1") + request("SET", "b", "1"))
    client.expect(b"+OK\r\n+OK\r\n")
    site.tick(1000)
    whole = parsed(client.ask("INFO"))
    sections = [line[2:] for line in whole.splitlines() if line.startswith("# ")]
    assert sections[:3] == ["Server", "Clients", "Memory"]
    assert sections[-1] == "Raft"
    for field in ("redis_version:", "connected_clients:1", "db0:keys=2,expires=0", "raft_groups:3"):
        assert field in whole
    assert "total_commands_processed:4" in parsed(client.ask("INFO", "stats"))
    two = parsed(client.ask("INFO", "memory", "CLIENTS"))
    assert two.count("# ") == 2
    assert parsed(client.ask("INFO", "nope")) == ""
    assert client.ask("CONFIG", "RESETSTAT") == b"+OK\r\n"
    assert "total_commands_processed:1\r" in parsed(client.ask("INFO", "stats"))


def test_redraft_status_is_json(site: Site) -> None:
    """What `redraft status` asks."""
    assert json.loads(parsed(site.client().ask("REDRAFT", "STATUS"))) == {"node": 1, "groups": []}


def test_help_lists_subcommands(site: Site) -> None:
    """CLIENT HELP and its like."""
    lines = parsed(site.client().ask("CLIENT", "HELP"))
    assert lines[0].startswith("CLIENT <subcommand>")
    assert "ID" in lines
    assert lines[-2] == "HELP"
