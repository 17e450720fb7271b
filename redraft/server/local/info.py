"""INFO, under Redis's names, and REDRAFT STATUS: what the node tells of itself.

The front end knows its clients and the traffic; keys, memory and Raft are the node's to tell
(`Node.info`), and stand behind, or instead of, the fields made here.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from redraft import __version__
from redraft.server.channels import Book
from redraft.server.encode import Text, Value
from redraft.server.identity import REDIS_VERSION
from redraft.server.outcome import Handler

if TYPE_CHECKING:
    from redraft.server.connection import Connection

Fields = dict[str, object]
_PAGE_BYTES = resource.getpagesize()


def _server(connection: Connection) -> Fields:
    front = connection.front
    uptime = int((front.now_ms - front.started_ms) / 1000)
    me = next(each for each in front.node.members if each.node_id == front.node.node_id)
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "cluster" if connection.port.cluster_enabled else "standalone",
        "redraft_version": __version__,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll",
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "process_supervised": "no",
        "run_id": me.hex_id,
        "tcp_port": front.config.port,
        "server_time_usec": time.time_ns() // 1000,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86400,
        "hz": 50,
        "configured_hz": 50,
        "executable": sys.executable,
        "config_file": "",
        "io_threads_active": 0,
    }


def _clients(connection: Connection) -> Fields:
    front = connection.front
    return {
        "connected_clients": len(front.connections),
        "cluster_connections": 0,
        "maxclients": front.config.maxclients,
        "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": max(
            (c.waiting_bytes for c in front.connections.values()), default=0
        ),
        "blocked_clients": 0,
        "tracking_clients": 0,
        "clients_in_timeout_table": 0,
        "watching_clients": sum(c.watch is not None for c in front.connections.values()),
        "total_watched_keys": sum(len(c.watch.indexes) for c in front.connections.values() if c.watch),
    }


def _memory(connection: Connection) -> Fields:
    front = connection.front
    used = int(str(front.node.info().get("memory", {}).get("used_memory", 0)))
    resident = _resident_bytes()
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, resident)
    return {
        "used_memory": used,
        "used_memory_human": _human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": _human(resident),
        "used_memory_rss_peak": peak,
        "total_system_memory": total,
        "total_system_memory_human": _human(total),
        "maxmemory": front.config.maxmemory,
        "maxmemory_human": _human(front.config.maxmemory),
        "maxmemory_policy": "noeviction",
        "mem_fragmentation_ratio": f"{resident / used:.2f}" if used else "0.00",
        "mem_clients_normal": front.bytes_waiting + front.again.bytes_waiting,
        "mem_allocator": "libc",
    }


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES


def _human(size: float) -> str:
    for unit in ("B", "K", "M", "G", "T"):
        if size < 1024 or unit == "T":
            return f"{size:.0f}B" if unit == "B" else f"{size:.2f}{unit}"
        size /= 1024
    raise AssertionError("unreachable")


def _stats(connection: Connection) -> Fields:
    front = connection.front
    operations, kib_in, kib_out = front.rates
    return {
        "total_connections_received": front.accepted,
        "total_commands_processed": front.commands,
        "instantaneous_ops_per_sec": operations,
        "total_net_input_bytes": front.bytes_in,
        "total_net_output_bytes": front.bytes_out,
        "instantaneous_input_kbps": f"{kib_in:.2f}",
        "instantaneous_output_kbps": f"{kib_out:.2f}",
        "rejected_connections": front.rejected,
        "expired_keys": 0,
        "evicted_keys": 0,
        "evicted_clients": 0,
        "pubsub_channels": len(front.channels.books[Book.CHANNEL]),
        "pubsub_patterns": len(front.channels.books[Book.PATTERN]),
        "pubsubshard_channels": len(front.channels.books[Book.SHARD]),
        "pubsub_messages_dropped": front.node.publishing.missed,
        "client_query_buffer_limit_disconnections": front.cut_for_input,
        "client_output_buffer_limit_disconnections": front.cut_for_output,
    }


def _replication(connection: Connection) -> Fields:
    front = connection.front
    leaders = front.leaders
    fields: Fields = {"role": connection.port.role}
    if connection.port.role != "master":
        master = next((leaders.of(group) for group in leaders.followed), None)
        fields |= {
            "master_host": master.shown.host if master else "",
            "master_port": master.shown.primary_port if master else 0,
            "master_link_status": "up" if master else "down",
            "slave_read_only": 1,
        }
    others = [each for each in front.node.members if each.node_id != front.node.node_id]
    fields["connected_slaves"] = len(others) if connection.port.role == "master" else 0
    return fields | {"master_replid": "0" * 40, "master_repl_offset": 0}


def _persistence(_connection: Connection) -> Fields:
    return {
        "loading": 0,
        "async_loading": 0,
        "rdb_bgsave_in_progress": 0,
        "aof_enabled": 1,
        "aof_rewrite_in_progress": 0,
    }


def _cpu(_connection: Connection) -> Fields:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "used_cpu_sys": f"{own.ru_stime:.6f}",
        "used_cpu_user": f"{own.ru_utime:.6f}",
        "used_cpu_sys_children": f"{children.ru_stime:.6f}",
        "used_cpu_user_children": f"{children.ru_utime:.6f}",
    }


def _cluster(_connection: Connection) -> Fields:
    """On every port CLUSTER answers, and `redis-cli --cluster` asks here whether it does."""
    return {"cluster_enabled": 1}


def _keyspace(connection: Connection) -> Fields:
    counts = connection.front.node.info().get("keyspace", {})
    if not counts.get("keys"):
        return {}
    return {"db0": f"keys={counts['keys']},expires={counts.get('expires', 0)},avg_ttl=0"}


def _raft(_connection: Connection) -> Fields:
    return {}


SECTIONS: dict[str, Callable[[Connection], Fields]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cpu": _cpu,
    "cluster": _cluster,
    "keyspace": _keyspace,
    "raft": _raft,
}
_EVERYTHING = frozenset(("all", "everything", "default"))
_OWN_FIELDS = frozenset(("keyspace", "memory"))
"""Sections that are made of what the node tells, not followed by it."""


def info(connection: Connection, args: list[bytes]) -> Value:
    """INFO [section ...]."""
    wanted = {arg.decode("ascii", "replace").lower() for arg in args[1:]} or _EVERYTHING
    whole = bool(wanted & _EVERYTHING)
    told = connection.front.node.info()
    texts = []
    for section, fields_of in SECTIONS.items():
        if not whole and section not in wanted:
            continue
        fields = fields_of(connection)
        if section not in _OWN_FIELDS:
            fields |= told.get(section, {})
        lines = "".join(f"{name}:{value}\r\n" for name, value in fields.items())
        texts.append(f"# {section.capitalize()}\r\n{lines}")
    return Text("\r\n".join(texts))


def _status(connection: Connection, _args: list[bytes]) -> Value:
    return json.dumps(connection.front.node.status())


def _controller(connection: Connection, _args: list[bytes]) -> Value:
    return json.dumps(connection.front.node.controller.status())


SUBCOMMANDS: dict[bytes, Handler] = {b"controller": _controller, b"status": _status}
