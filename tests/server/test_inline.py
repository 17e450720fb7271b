"""Inline commands: how lines become words."""

from __future__ import annotations

import pytest

from redraft.server.inline import UnbalancedError, split_line, translate
from tests.server.harness import request


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SET a b\r", [b"SET", b"a", b"b"]),
        (b"  PING  ", [b"PING"]),
        (b"", []),
        (b'ECHO "a b"', [b"ECHO", b"a b"]),
        (rb'ECHO "\x41\n\"\q"', [b"ECHO", b'A\n"q']),
        (rb"ECHO 'it\'s \n'", [b"ECHO", b"it's \\n"]),
        (b"ECHO ''", [b"ECHO", b""]),
        (b'ECHO a"b"', [b"ECHO", b"ab"]),
    ],
)
def test_split_line_reads_quotes_as_redis_does(line: bytes, words: list[bytes]) -> None:
    """Words, double quotes with escapes, single quotes without."""
    assert split_line(line) == words


@pytest.mark.parametrize("line", [b'"a', b"'a", b'"a"b', b"'a'b", b'"a\\"'])
def test_split_line_refuses_unbalanced_quotes(line: bytes) -> None:
    """A quote must be closed, and a word ends with it."""
    with pytest.raises(UnbalancedError):
        split_line(line)


def test_translate_takes_all_whole_lines_up_to_a_request() -> None:
    """What is unfinished or a request already is left where it is."""
    data = b"PING\r\n\r\nGET a\n" + request("PING")
    requests, at = translate(data, 0)
    assert requests == request("PING") + request("GET", "a")
    assert data[at:] == request("PING")
    assert translate(b"PI", 0) == (b"", 0)
    assert translate(b"PING\nGET 'a\nPING\n", 0) == (request("PING"), 5)
