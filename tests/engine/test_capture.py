"""What a capture of the engine in memory keeps; what it gives is checked by the contract (`test_engine`)."""

from __future__ import annotations

import gc

from redraft.engine.hash import HashEngine

SLOTS_FILLED = 50
KEYS = [b"%d" % number for number in range(60)]


def test_capture_keeps_copies_that_the_garbage_collector_passes_by() -> None:
    """All keys of a group may wait to be written: to walk them each time were pauses of 15 to 30 ms."""
    engine = HashEngine()
    for slot in range(SLOTS_FILLED):
        for key in KEYS:
            engine.put(slot, key, b"$1\r\nv\r\n")
    captured = engine.capture()
    before = {id(each) for each in gc.get_objects()}
    for slot in range(SLOTS_FILLED):  # a write to each copies it
        engine.put(slot, b"new", b"$1\r\nv\r\n")
    made = [each for each in gc.get_objects() if id(each) not in before]
    with_keys = [each for each in made if isinstance(each, list | tuple | dict) and KEYS[0] in each]
    assert not with_keys
    runs = captured.take(SLOTS_FILLED * (len(KEYS) + 1))
    assert [run.slot for run in runs] == list(range(SLOTS_FILLED))
    assert all(sorted(run.keys) == sorted(KEYS) for run in runs)
    engine.release()
