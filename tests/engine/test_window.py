"""Windows against a plain sorted map, whatever is read and written in between."""

from __future__ import annotations

import random

import pytest

from redraft.engine import window
from redraft.engine.window import Rows, Window

NAMES = [b"%03d" % number for number in range(300)] + [b"", b"\xff", b"\xff\xff"]


class Below:
    """A collection: a window, what stands below it, and how much was read there."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.window = Window(self.read)
        self.names_read = 0

    def read(self, low: bytes, high: bytes | None, count: int, *, reverse: bool) -> tuple[Rows, bool]:
        """See `window.Read`."""
        assert high is None or low < high
        found = self.between(low, high)[:: -1 if reverse else 1]
        self.names_read += len(found[:count])
        return found[:count], len(found) < count

    def write(self, name: bytes, value: bytes | None) -> None:
        """Write a name, or delete it."""
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        self.window.note(name, value)

    def between(self, low: bytes, high: bytes | None) -> Rows:
        """What a range should give."""
        return sorted(row for row in self.values.items() if low <= row[0] and (high is None or row[0] < high))


@pytest.mark.parametrize("seed", range(40))
def test_window_gives_what_stands_below(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges from both ends, of all sizes, with writes between them."""
    print("seed", seed)
    rng = random.Random(seed)
    monkeypatch.setattr(window, "AHEAD_FIRST", rng.choice((1, 2, 16)))
    monkeypatch.setattr(window, "AHEAD_MAX", rng.choice((2, 5, 64)))
    below = Below()
    for name in rng.sample(NAMES, rng.randrange(len(NAMES))):
        below.values[name] = name
    for step in range(600):
        if rng.random() < 0.5:
            below.write(rng.choice(NAMES), rng.choice((None, b"%d" % step)))
            continue
        low, high = rng.choice((b"", rng.choice(NAMES))), rng.choice((None, rng.choice(NAMES)))
        if high is not None and high <= low:
            continue
        offset, limit, reverse = rng.choice((0, 0, 1, 9)), rng.choice((0, 1, 2, 7, 500)), rng.random() < 0.5
        expected = below.between(low, high)[:: -1 if reverse else 1][offset : offset + limit]
        assert below.window.range(low, high, offset, limit, reverse=reverse) == expected


def test_window_reads_each_name_once() -> None:
    """A queue whose first is taken over and over does not pass over what was taken."""
    below = Below()
    for number in range(1000):
        below.values[b"%04d" % number] = b"v"
    for number in range(1000):
        ((name, _),) = below.window.range(b"", None, 0, 1, reverse=False)
        assert name == b"%04d" % number
        below.write(name, None)
    assert below.window.range(b"", None, 0, 1, reverse=False) == []
    assert below.names_read == 1000
