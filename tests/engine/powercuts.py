"""Power is cut at many moments of what a process did, and what is left is looked at.

ENGINE_TEST_CUTS  moments at which power is cut, for each test (thousands for the full proof)
ENGINE_TEST_SEED  of all that is chosen
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.engine.losingdisk import Disk, on_disk
from tests.engine.recorded import Call

CUTS = int(os.environ.get("ENGINE_TEST_CUTS", "120"))
SEED = int(os.environ.get("ENGINE_TEST_SEED", "1"))
TIMEOUT_S = 120 + CUTS
BEGINNING = 40
"""Calls in which a store begins: a part of the moments are there."""


def cut_everywhere(
    disk: Disk,
    calls: list[Call],
    cuts: int,
    rng: random.Random,
    marked: Callable[[str], None],
    check: Callable[[Path], None],
) -> None:
    """Cut the power at moments all over what was recorded; `check` what is left each time.

    `marked` hears the process's marks as they come.
    """
    telling = [at for at, call in enumerate(calls) if call.op != "w"]
    choices: list[Callable[[], int]] = [
        lambda: rng.randrange(len(calls)),
        lambda: rng.choice(telling),
        lambda: rng.choice(telling),
        lambda: rng.randrange(BEGINNING),
    ]
    moments = sorted(rng.choice(choices)() for _ in range(cuts))
    target = disk.root.with_name("cut")
    for at, call in enumerate(calls):
        disk.take(call)
        if call.op == "k":
            marked(call.data.decode())
        for _ in range(moments.count(at)):
            shutil.rmtree(target, ignore_errors=True)
            manner = disk.cut(rng, target)
            told = "" if call.op == "w" else f" {call.data.decode()}"
            print(f"cut behind call {at} of {len(calls)} ({call.op}{told}), {manner}", flush=True)
            check(target)


def check_recording(disk: Disk) -> None:
    """Assert that nothing was done to the files that the recorder does not know."""
    unknown = disk.mapped()
    assert {path.rpartition("/")[2] for path in unknown} <= {"lock.mdb"}
    real = {path: data for path, data in on_disk(disk.root).items() if path not in unknown}
    told = disk.cached()
    assert sorted(told) == sorted(real)
    assert [path for path, data in told.items() if data != real[path]] == []
