"""The table's facts are Redis's, and hang together."""

from __future__ import annotations

import re

import pytest

from redraft.cli.absent import ABSENT
from redraft.commands.command import Command, Kind
from redraft.commands.table import BY_NAME, COMMANDS, IDS, scan_table
from redraft.commands.usage import Argument, arguments_of
from tests.commands.oracle import Oracle

ALL = [row for command in COMMANDS for row in (command, *command.subcommands)]
LATER = {
    b"cluster|migration",
    b"client|setinfo",
    b"client|no-touch",
    b"cluster|myshardid",
    b"redraft",
    b"redraft|cancel-move",
    b"redraft|controller",
    b"redraft|create-group",
    b"redraft|digest",
    b"redraft|drain-node",
    b"redraft|drop-group",
    b"redraft|merge-groups",
    b"redraft|move-group",
    b"redraft|move-slots",
    b"redraft|remove-node",
    b"redraft|split-group",
    b"redraft|status",
    b"redraft|undrain-node",
}
"""Not in Redis 7.0."""
ARITIES_BEFORE = {b"zrank": 3, b"zrevrank": 3}
"""WITHSCORE came with 7.2."""


def test_table_has_one_id_per_command() -> None:
    """An id is the position in the table, for the scan as for the executor."""
    for number, facts in enumerate(scan_table()):
        assert COMMANDS[number].name == facts[0]
        assert IDS[facts[0]] == number
        assert BY_NAME[facts[0]] is COMMANDS[number]


def test_table_has_a_handler_for_what_groups_carry_out() -> None:
    """What a group is asked for has a handler, or subcommands that have."""
    for command in ALL:
        assert command.kind is Kind.LOCAL or command.handler or command.subcommands, command.name
        assert not command.whole or command.kind is not Kind.LOCAL, command.name


def test_table_says_where_movable_keys_are() -> None:
    """Without a specification they would be sent anywhere."""
    assert all(command.key_specs for command in ALL if command.has_movable_keys)


def test_table_sends_whole_keyspace_commands_to_the_front_end() -> None:
    """For the scan a command on the whole keyspace is one that needs thought."""
    kinds = {facts[0]: facts[1] for facts in scan_table()}
    assert kinds[b"dbsize"] == kinds[b"ping"] == Kind.LOCAL
    assert kinds[b"get"] == kinds[b"object"] == Kind.READ
    assert kinds[b"set"] == Kind.WRITE


@pytest.mark.parametrize(
    "command", [row for row in ALL if row.name not in LATER], ids=lambda row: row.name.decode()
)
def test_table_row_is_what_redis_says(oracle: Oracle, command: Command) -> None:
    """Arity, flags, keys and categories are those of COMMAND INFO."""
    oracle.reset(2)
    reply = oracle.ask([b"COMMAND", b"INFO", command.name]).split(b"\r\n")
    at = reply.index(command.name) + 1
    assert int(reply[at][1:]) == ARITIES_BEFORE.get(command.name, command.arity)
    flags = int(reply[at + 1][1:])
    assert {word[1:].decode() for word in reply[at + 2 : at + 2 + flags]} == set(command.flags)
    at += 2 + flags
    assert tuple(int(word[1:]) for word in reply[at : at + 3]) == command.keys
    categories = int(reply[at + 3][1:])
    assert {word[2:].decode() for word in reply[at + 4 : at + 4 + categories]} == set(command.categories)


@pytest.mark.parametrize(
    "command", [row for row in ALL if row.name not in LATER], ids=lambda row: row.name.decode()
)
def test_table_row_has_redis_since_and_group(oracle: Oracle, command: Command) -> None:
    """Group and first version are those of COMMAND DOCS."""
    oracle.reset(2)
    parent = command.name.partition(b"|")[0]
    reply = oracle.ask([b"COMMAND", b"DOCS", parent])
    start = reply.index(b"\r\n%b\r\n" % command.name)
    since = re.search(rb"\r\nsince\r\n\$\d+\r\n([^\r]+)", reply[start:])
    group = re.search(rb"\r\ngroup\r\n\$\d+\r\n([^\r]+)", reply[start:])
    assert since is not None
    assert group is not None
    assert (since[1].decode(), group[1].decode()) == (command.since, command.group)


@pytest.mark.parametrize("command", ALL, ids=lambda row: row.name.decode())
def test_table_usage_reads_as_arguments(command: Command) -> None:
    """Every usage line is of the grammar, and shows as many keys as the command has."""
    names = [argument.type for argument in arguments_of(command.usage)]
    if command.keys[0] and not any("not_key" in spec.flags for spec in command.key_specs):
        assert names[: command.keys[0]].count("key") + names.count("block") >= 1


def test_usage_of_set_is_a_tree_of_alternatives() -> None:
    """Brackets are options, bars alternatives, capitals tokens."""
    key, value, condition, get, expiry = arguments_of(BY_NAME[b"set"].usage)
    assert (key, value) == (Argument("key", "key"), Argument("value", "string"))
    assert (condition.type, condition.optional) == ("oneof", True)
    assert [part.token for part in condition.parts] == ["NX", "XX"]
    assert get == Argument("get", "pure-token", token="GET", optional=True)
    assert [part.token for part in expiry.parts] == ["EX", "PX", "EXAT", "PXAT", "KEEPTTL"]
    assert [part.type for part in expiry.parts] == ["integer"] * 2 + ["unix-time"] * 2 + ["pure-token"]


def test_usage_repeats_what_stands_before_the_dots() -> None:
    """`key [key ...]` is one argument, several times; pairs are a block."""
    assert arguments_of("key [key ...]") == (Argument("key", "key", multiple=True),)
    (pairs,) = arguments_of("key value [key value ...]")
    assert (pairs.type, pairs.multiple) == ("block", True)
    assert arguments_of("[section [section ...]]") == (
        Argument("section", "string", optional=True, multiple=True),
    )


def test_table_and_what_is_absent_are_all_of_redis(oracle: Oracle) -> None:
    """Whatever redis-server knows is in the table, or is said to be missing, with why."""
    oracle.reset(2)
    docs = oracle.ask([b"COMMAND", b"DOCS"])
    named = set(re.findall(rb"\r\n\$\d+\r\n([a-z_|-]+)\r\n\*\d+\r\n\$7\r\nsummary\r\n", docs))
    containers = {name.partition(b"|")[0] for name in named if b"|" in name}
    told = {name.encode() for names, _ in ABSENT for name in names.split()}
    ours = {row.name for row in ALL}
    assert named - containers - ours - told == set()
    assert told - named - ours <= {b"waitaof"}
