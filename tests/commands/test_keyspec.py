"""Key specifications find the keys that Redis finds."""

from __future__ import annotations

import pytest

from redraft.commands.command import row
from redraft.commands.keyspec import Found, KeySpec, behind, counted, plain, searched, single
from redraft.commands.table import BY_NAME
from tests.commands.oracle import Oracle


def found(spec: KeySpec, line: str) -> Found:
    """Where a specification finds keys in a request, as a list."""
    positions = spec.find([word.encode() for word in line.split()])
    return None if positions is None else list(positions)


@pytest.mark.parametrize(
    ("line", "positions"),
    [
        ("LMPOP 1 a LEFT", [2]),
        ("LMPOP 2 a b LEFT", [2, 3]),
        ("LMPOP 3 a b LEFT", [2, 3, 4]),
        ("LMPOP 4 a b LEFT", None),
        ("LMPOP 0 a LEFT", None),
        ("LMPOP -1 a LEFT", None),
        ("LMPOP x a LEFT", None),
        ("LMPOP 9223372036854775807 a LEFT", None),
    ],
)
def test_counted_keys_stand_behind_their_number(line: str, positions: Found) -> None:
    """A number that can't be theirs finds nothing."""
    assert found(counted(1, "RW"), line) == positions


@pytest.mark.parametrize(
    ("line", "positions"),
    [
        ("XREAD STREAMS a 0", [2]),
        ("XREAD COUNT 1 streams a b 0 0", [4, 5]),
        ("XREAD STREAMS a b 0", [2]),
        ("XREAD STREAMS STREAMS 0", [2]),
        ("XREAD COUNT 1 STREAMS", []),
        ("XREAD COUNT 1 a", []),
    ],
)
def test_keys_behind_a_word_are_a_share_of_what_is_left(line: str, positions: Found) -> None:
    """XREAD's keys are the first half; without the word there are none."""
    assert found(behind(b"STREAMS", "RO", start=1, share=2), line) == positions


def test_keys_behind_a_word_may_be_one_or_all() -> None:
    """By the share; the word counts from its first possible place on."""
    assert found(behind(b"STORE", "OW", start=2, share=0), "X STORE STORE a b") == [3]
    assert found(behind(b"KEYS", "RW", start=1, share=1), "X KEYS a b") == [2, 3]


@pytest.mark.parametrize(
    ("keys", "flags", "line", "positions"),
    [
        ((0, 0, 0), "", "PING", []),
        ((1, 1, 1), "RW", "GET a", [[1]]),
        ((1, -1, 2), "OW", "MSET a 1 b 2", [[1, 3]]),
        ((1, 2, 1), "RW/OW", "RENAME a b", [[1], [2]]),
        ((1, -2, 1), "RW", "BLPOP a b 0", [[1, 2]]),
        ((2, 2, 1), "RO", "OBJECT HELP", [[]]),
    ],
)
def test_plain_keys_are_those_of_command_info(
    keys: tuple[int, int, int], flags: str, line: str, positions: list[Found]
) -> None:
    """As (first, last, step) says; flags for each key make a specification each."""
    assert [found(spec, line) for spec in plain(keys, flags)] == positions


def test_movable_keys_are_found_by_all_specifications() -> None:
    """What one can't find is left out; the native scan is told of none."""
    command = row(
        "zunionstore", -4, "write movablekeys", (1, 1, 1), group="sorted-set", since="2.0.0", summary="",
        key_specs=(single(1, "OW"), counted(2, "RO"), searched(lambda words: [len(words) - 1], "OW")),
    )  # fmt: skip
    assert command.routing_keys == (0, 0, 0)
    assert command.find_keys([b"zunionstore", b"d", b"2", b"a", b"b", b"c"]) == [1, 3, 4, 5]
    assert command.find_keys([b"zunionstore", b"d", b"x", b"a", b"b", b"c"]) == [1, 5]


@pytest.mark.parametrize(
    "line",
    [
        "BITOP AND d a b c", "PFMERGE d a b", "RENAME a b", "MSET a 1 b 2", "SMOVE a b m",
        "SINTERSTORE d a b c", "SINTERCARD 2 a b LIMIT 1", "ZRANGESTORE d a 0 1", "ZUNIONSTORE d 2 a b",
        "ZINTER 2 a b WITHSCORES", "ZMPOP 2 a b MIN", "LMOVE a b LEFT LEFT",
    ],
)  # fmt: skip
def test_keys_are_those_of_command_getkeys(oracle: Oracle, line: str) -> None:
    """All of them, the sources of what is stored as well."""
    words = [word.encode() for word in line.split()]
    oracle.reset(2)
    theirs = oracle.ask([b"COMMAND", b"GETKEYS", *words]).split(b"\r\n")[2::2]
    assert [words[at] for at in BY_NAME[words[0].lower()].find_keys(words)] == theirs
