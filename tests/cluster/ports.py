"""Free ports for nodes: each node takes four, at fixed distances from its client port.

Client ports are taken below the kernel's ephemeral range, and so that the peer port (client port
+ 10000) stays below it too: an outgoing connection of somebody else can never sit on one of ours.
"""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
PRIMARY_DISTANCE = 1_000
REPLICA_DISTANCE = 2_000
PEER_DISTANCE = 10_000
DISTANCES = (0, PRIMARY_DISTANCE, REPLICA_DISTANCE, PEER_DISTANCE)

_BASES = range(12_000, 21_900)
_ATTEMPTS_MAX = 200


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_client_port(nodes: int) -> int:
    """Return a client port such that it and the `nodes - 1` next ones have all their four ports free."""
    for _ in range(_ATTEMPTS_MAX):
        base = random.choice(_BASES)
        if all(_is_free(base + number + distance) for number in range(nodes) for distance in DISTANCES):
            return base
    raise RuntimeError(f"no {nodes} free client ports in {_BASES} after {_ATTEMPTS_MAX} attempts")


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports of the same range, for servers that need one each."""
    found: set[int] = set()
    for _ in range(_ATTEMPTS_MAX):
        if len(found) == count:
            return sorted(found)
        port = random.choice(_BASES)
        if _is_free(port):
            found.add(port)
    raise RuntimeError(f"no {count} free ports in {_BASES} after {_ATTEMPTS_MAX} attempts")
