"""RocksDB's own edges."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from redraft.engine.rocks import RocksStore


def test_rocks_range_keeps_its_bounds_while_another_thread_writes(tmp_path: Path) -> None:
    """Found by a load test: bounds given to RocksDB were freed while it used them."""
    store = RocksStore(tmp_path)
    store.write([(b"%c%04d" % (letter, number), b"v") for letter in b"acez" for number in range(500)])

    def write() -> None:
        for _ in range(20):
            store.write([(b"m%05d" % number, b"w" * 100) for number in range(3000)])

    writer = Thread(target=write)
    writer.start()
    try:
        while writer.is_alive():
            for reverse in (False, True):
                keys = [key for key, _ in store.range(b"c", b"d", reverse=reverse)]
                assert keys == sorted((b"c%04d" % number for number in range(500)), reverse=reverse)
                assert list(store.range(b"\xffe\0\0\0\0", b"\xffe\0\0\0\1", reverse=reverse)) == []
    finally:
        writer.join()
        store.close()
