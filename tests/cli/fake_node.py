"""A stand-in for `redraft server`: answers REDRAFT STATUS on its port, and stops or dies as it is told.

Run as `python fake_node.py BEHAVIOUR... --config FILE --stop-with-stdin`.  A BEHAVIOUR is `N:WORD` for
node N: `dies` (a sentence, then exit code 1), `deaf` (SIGTERM is ignored), `late` (never ready).
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tomllib
from functools import partial
from pathlib import Path

import trio

PLAN = dict(word.split(":") for word in sys.argv[1:] if re.fullmatch(r"\d+:\w+", word))
SETTINGS = tomllib.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
CLUSTER = SETTINGS["cluster"].split(",")
NUMBER = CLUSTER.index(SETTINGS["listen"]) + 1
BEHAVIOUR = PLAN.get(str(NUMBER), "")


def status() -> bytes:
    """A report as the real node makes it."""
    nodes = [
        {"id": at, "hex_id": f"{at:040x}", "address": name, "alive": True}
        for at, name in enumerate(CLUSTER, 1)
    ]
    groups = [
        {
            "id": group,
            "slots": [[0, 99]],
            "role": "leader" if group == NUMBER else "follower",
            "leader": group,
            "term": 2,
            "commit_index": 7,
            "applied_index": 7,
            "last_index": 9,
            "keys": 5,
            "replicas": [
                {"node": at, "match_index": 9 - (at == 3), "state": "replicate"} for at in (1, 2, 3)
            ],
        }
        for group in range(1, SETTINGS["groups"] + 1)
    ]
    report = {
        "node": NUMBER,
        "cluster_id": "c" * 40,
        "ready": BEHAVIOUR != "late",
        "nodes": nodes,
        "groups": groups,
        "uptime_s": 75.5,
        "later": "a field of a newer node",
    }
    text = json.dumps(report).encode()
    return b"$%d\r\n%s\r\n" % (len(text), text)


async def answer(stream: trio.SocketStream) -> None:
    """Answer whatever is asked with the report."""
    async for _ in stream:
        await stream.send_all(status())


async def closes() -> None:
    """Return when standard input closes."""
    async with trio.lowlevel.FdStream(0) as stream:
        async for _ in stream:
            pass


async def main() -> int:
    """Serve until a signal, or until standard input closes."""
    print(f"node {NUMBER} starts", flush=True)
    if BEHAVIOUR == "dies":
        print("redraft: The moon is in the wrong quarter.", flush=True)
        return 1
    _, port = SETTINGS["listen"].split(":")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_tcp, answer, int(port), host="127.0.0.1"))
        with trio.open_signal_receiver(signal.SIGTERM) as signals:

            async def until_closed() -> None:
                await closes()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_closed)
            async for _ in signals:
                if BEHAVIOUR != "deaf":
                    break
        nursery.cancel_scope.cancel()
    return 0


sys.exit(trio.run(main))
