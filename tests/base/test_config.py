"""Config: what it fills in, what it refuses, and that each refusal says what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from redraft.base.address import Address, parse_address, parse_addresses
from redraft.base.announced import parse_announced
from redraft.base.config import SETTINGS, Config
from redraft.base.configload import load_config, unknown_variables
from redraft.base.errors import ConfigError
from redraft.base.setting import parse_size, show_size

SECRET = "a secret of enough bytes"


def test_config_defaults_are_a_cluster_of_one() -> None:
    """Without any setting a node is a cluster of one on Redis's own port, its other ports derived from it."""
    config = load_config()
    assert (config.host, config.port) == ("127.0.0.1", 6379)
    assert (config.primary_port, config.replica_port, config.peer_port) == (7379, 8379, 16379)
    assert config.cluster == (config.own_address,)
    assert load_config({"peer_port": "9999"}).cluster[0].peer_port == 9999


@pytest.mark.parametrize(
    ("announce", "shown"),
    [
        ("", "127.0.0.1:7000:7777:9000"),
        ("redis.example.com", "redis.example.com:7000:7777:9000"),
        ("203.0.113.7:30000", "203.0.113.7:30000:30777:32000"),
        ("203.0.113.7:1:2:3", "203.0.113.7:1:2:3"),
        ("[2001:db8::1]:30000", "[2001:db8::1]:30000:30777:32000"),
    ],
)
def test_config_announces_what_is_not_said_as_it_is(announce: str, shown: str) -> None:
    """A host alone keeps the ports, a client port moves the others with it, three ports are as they are."""
    config = load_config({"listen": "127.0.0.1:7000", "primary_port": "7777", "announce": announce})
    assert str(config.announced) == shown
    assert config.changed(maxclients=7).announced == config.announced
    assert parse_announced(shown) == config.announced


def test_config_later_sources_win(tmp_path: Path) -> None:
    """Defaults give way to the file, the file to the environment, the environment to flags."""
    file = tmp_path / "redraft.toml"
    file.write_text('maxclients = 1\ngroups = 1\nread-mode = "lease"\ncluster = ["127.0.0.1:6379"]\n')
    environ = {"REDRAFT_MAXCLIENTS": "2", "REDRAFT_GROUPS": "2"}
    config = load_config({"groups": 4, "engine": None}, file=file, environ=environ)
    assert (config.maxclients, config.groups, config.read_mode, config.engine) == (2, 4, "lease", "hash")
    assert load_config(environ={"REDRAFT_CONFIG": str(file)}).maxclients == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"listen": "6379"}, "is not an address"),
        ({"listen": "::1:6379"}, "in brackets"),
        ({"listen": "127.0.0.1:70000"}, "no valid port"),
        ({"announce": "a:b"}, "HOST:PORT:PRIMARY:REPLICA"),
        ({"announce": "a:1:2"}, "HOST:PORT:PRIMARY:REPLICA"),
        ({"announce": "::1:6379"}, "in brackets"),
        ({"announce": "a:0"}, "HOST:PORT:PRIMARY:REPLICA"),
        ({"announce": "0.0.0.0"}, "Clients can't connect to 0.0.0.0"),
        ({"announce": "a:65000"}, "give announce three different ones"),
        ({"announce": "a:1:1:2"}, "give announce three different ones"),
        ({"listen": "127.0.0.1:60000"}, "leaves no room for peer_port"),
        ({"listen": "0.0.0.0:6379", "advertise": "10.0.0.1:6379"}, "loopback addresses only"),
        ({"listen": "0.0.0.0:6379", "cluster_secret": SECRET}, "set advertise"),
        ({"cluster": "127.0.0.1:1,127.0.0.1:2"}, "is not in cluster"),
        ({"cluster": "127.0.0.1:6379,127.0.0.1:6379"}, "twice"),
        ({"cluster": "127.0.0.1:6379,127.0.0.1:6380", "peer_port": 5}, "@5 in cluster"),
        ({"cluster": "127.0.0.1:6379,127.0.0.1:60000"}, "60000@PEERPORT"),
        ({"primary_port": 6379}, "both 6379"),
        ({"cluster_secret": "short"}, "at least 16|must have 16"),
        ({"heartbeat_ms": 300}, "a third of election_timeout_ms"),
        ({"leader_wait_ms": 6000}, "at most request_timeout_ms"),
        ({"client_query_buffer_limit": "2mb"}, "proto_max_bulk_len"),
        ({"entry_bytes_max": "8mb"}, "append_bytes_max"),
        ({"engine": "leveldb"}, "choose one of hash, btree, rocksdb"),
        ({"groups": 0}, "at least 1"),
        ({"groups": 5000}, "at most 1024"),
        ({"maxmemory": "lots"}, "--maxmemory must be a size such as 64mb"),
        ({"maxclients": "many"}, "--maxclients must be a whole number"),
        ({"cluster_secret_file": "/nowhere/secret"}, "can't be read: No such file"),
    ],
)
def test_config_refuses_in_a_sentence(flags: dict[str, object], sentence: str) -> None:
    """A bad setting, or combination, is refused with one sentence that ends with a full stop."""
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_config(flags)
    text = str(caught.value)
    assert text.endswith((".", "?", ")")), text
    assert "\n" not in text


def test_config_with_a_secret_may_listen_anywhere(tmp_path: Path) -> None:
    """A secret from a file (white space stripped) or the environment opens other addresses."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    flags = {"listen": "0.0.0.0:6379", "advertise": "node1:6379", "cluster": "node1:6379,node2:6379"}
    assert load_config(flags | {"cluster_secret_file": str(file)}).cluster_secret == SECRET
    assert load_config(flags, environ={"REDRAFT_CLUSTER_SECRET": SECRET}).own_address == Address(
        "node1", 6379
    )
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        load_config(flags | {"cluster_secret_file": str(file)})


def test_config_keeps_its_secret_out_of_its_repr() -> None:
    """A Config may be logged without giving the secret away."""
    assert SECRET not in repr(load_config({"cluster_secret": SECRET}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_clients = 3", "did you mean maxclients"),
        ("zzz = 3", "docs/configuration.md"),
        ("x = = 3", "not valid TOML"),
        ("read-mode = 'index'\nread_mode = 'lease'", "twice"),
    ],
)
def test_configload_refuses_a_file_it_does_not_understand(tmp_path: Path, text: str, sentence: str) -> None:
    """A typo in the file is an error, never a silent default."""
    file = tmp_path / "redraft.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_config(file=file)


def test_configload_lists_variables_that_name_no_setting() -> None:
    """A mistyped variable can be warned about; variables of others are left alone."""
    environ = {"REDRAFT_MAXMEMROY": "1", "REDRAFT_MAXMEMORY": "1", "REDRAFT_PURE": "1", "HOME": "/"}
    assert unknown_variables(environ) == ["REDRAFT_MAXMEMROY"]


def test_config_changed_reads_text_and_checks() -> None:
    """CONFIG SET's way in: text in, a new checked Config out."""
    config = load_config()
    assert config.changed(maxmemory="1gb").maxmemory == 2**30
    with pytest.raises(ConfigError, match="at least 1"):
        config.changed(maxclients="0")


def test_config_declares_every_field_as_a_documented_setting() -> None:
    """Every field has a kind, a section and a sentence, and its default is one it would accept."""
    assert [each.name for each in SETTINGS] == [field.name for field in dataclasses.fields(Config)]
    for each in SETTINGS:
        assert each.doc.endswith("."), each.name
        assert each.section
        assert each.show(each.default) is not None
        each.check(each.default)


def test_address_reads_what_it_writes() -> None:
    """HOST:PORT[@PEERPORT] survives a round trip, IPv6 in brackets."""
    for text in ("127.0.0.1:6379", "[::1]:6379", "node-1.example:1", "localhost:6379@7"):
        assert str(parse_address(text)) == text
    assert [each.peer_port for each in parse_addresses("a:1, b:2@9,")] == [10001, 9]
    assert parse_address("[::1]:1").is_loopback
    assert parse_address("127.9.9.9:1").is_loopback
    assert not parse_address("example:1").is_loopback


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("64mb", 64 << 20), ("1gb", 1 << 30), ("5k", 5000), ("7 kb", 7168), ("9b", 9)],
)
def test_setting_sizes_are_read_as_redis_reads_them(text: str, count: int) -> None:
    """kb is 1024, k is 1000; what is shown reads back as the same number."""
    assert parse_size(text) == count
    assert parse_size(show_size(count)) == count
