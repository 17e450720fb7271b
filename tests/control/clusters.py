"""Topologies to start from."""

from __future__ import annotations

from redraft.control.topology import Join, Topology, founding_topology
from redraft.topology.cluster_map import Member, first_map


def member(number: int, primary_port: int = 8000) -> Member:
    return Member(number, f"{number:040x}", "10.0.0.1", 7000 + number, primary_port, 9000, 17000)


def founded(nodes: int = 3, groups: int = 3, replication_factor: int = 3) -> Topology:
    first = first_map(
        "c", [member(n) for n in range(1, nodes + 1)], groups=groups, replication_factor=replication_factor
    )
    return founding_topology(first, replication_factor)


def join(number: int, port: int = 0) -> Join:
    return Join(f"{number:040x}", "10.0.0.1", port or 7000 + number, 1, 2, 3)
