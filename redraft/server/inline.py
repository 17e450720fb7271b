"""Inline commands: lines of words, for people with telnet, made into requests before all else.

Words are divided by white space; "double quotes" know \\n \\r \\t \\b \\a and \\xHH, single ones only \\'.
"""

from __future__ import annotations

import re

from redraft.accel.scan import LINE_BYTES_MAX
from redraft.server.encode import encode_request

_SPACE = b" \n\r\t\v\f\0"
_HEX = re.compile(rb"x[0-9a-fA-F]{2}")
_ESCAPES = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}


class UnbalancedError(ValueError):
    """A quote that is not closed, or is closed in the middle of a word."""


class LineTooLongError(ValueError):
    """No line end within Redis's limit."""


def translate(data: bytes, at: int) -> tuple[bytes, int]:
    """Turn the whole lines at `at` into requests, up to a `*` request or the unfinished line.

    Returns (requests, offset of what is left).  With nothing translated but an error, raises it;
    an error behind translated lines is met by the next call.
    """
    requests: list[bytes] = []
    while at < len(data) and data[at] != 0x2A:
        end = data.find(b"\n", at, at + LINE_BYTES_MAX + 1)
        if end < 0:
            if len(data) - at > LINE_BYTES_MAX and not requests:
                raise LineTooLongError
            break
        try:
            words = split_line(data[at:end])
        except UnbalancedError:
            if requests:
                break
            raise
        if words:
            requests.append(encode_request(words))
        at = end + 1
    return b"".join(requests), at


def split_line(line: bytes) -> list[bytes]:
    """Divide a line into words as Redis does; raises UnbalancedError."""
    if b'"' not in line and b"'" not in line and b"\0" not in line:
        return line.split()
    words: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at] in _SPACE:
            at += 1
        if at == end:
            return words
        word = bytearray()
        while at < end and line[at] not in _SPACE:
            if line[at] in b"\"'":
                at = _quoted(line, at, word)
                if at < end and line[at] not in _SPACE:
                    raise UnbalancedError
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, word: bytearray) -> int:
    """Append what stands between the quotes that open at `at`; returns the offset behind them."""
    quote = line[at]
    at += 1
    while at < len(line):
        byte = line[at]
        if byte == quote:
            return at + 1
        if byte == 0x5C and at + 1 < len(line):
            escaped = line[at + 1]
            if quote == 0x22:
                if _HEX.match(line, at + 1):
                    word.append(int(line[at + 2 : at + 4], 16))
                    at += 4
                    continue
                word += _ESCAPES.get(escaped, bytes((escaped,)))
                at += 2
                continue
            if escaped == 0x27:
                word.append(0x27)
                at += 2
                continue
        word.append(byte)
        at += 1
    raise UnbalancedError
