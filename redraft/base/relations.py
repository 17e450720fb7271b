"""How settings must relate to each other: each relation, and the sentence for who breaks it.

Called by Config once its fields hold what they will hold; raises ConfigError, changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.base.address import Address
from redraft.base.errors import ConfigError
from redraft.base.limits import NODES_MAX, PEER_PORT_OFFSET, PORT_MAX, SECRET_BYTES_MAX, SECRET_BYTES_MIN

if TYPE_CHECKING:
    from redraft.base.config import Config


def check_relations(config: Config) -> None:
    """Refuse a combination of settings that can't be served, with one sentence that says what to do."""
    for check in (_secret, _ports, _addresses, _announced, _timing, _sizes):
        check(config)


def _ports(config: Config) -> None:
    ports = {
        "listen": config.port,
        "primary_port": config.primary_port,
        "replica_port": config.replica_port,
        "peer_port": config.peer_port,
    }
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port > PORT_MAX:
            raise ConfigError(
                f"Port {config.port} leaves no room for {name} ({port} is above {PORT_MAX}): "
                f"choose a client port below {PORT_MAX - PEER_PORT_OFFSET + 1}, or set {name}."
            )
        if port in seen:
            raise ConfigError(f"{name} and {seen[port]} are both {port}: give each port a number of its own.")
        seen[port] = name


def _addresses(config: Config) -> None:
    own = config.own_address
    if own.is_wildcard:
        raise ConfigError(
            f"Other nodes can't reach this one at {own.client}: set advertise to the address they should use."
        )
    names = [each.client for each in config.cluster]
    if len(names) > NODES_MAX:
        raise ConfigError(f"cluster lists {len(names)} nodes: at most {NODES_MAX} are supported.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"cluster lists {twice} twice: name every node once.")
    if own.client not in names:
        raise ConfigError(
            f"This node's address {own.client} is not in cluster ({', '.join(names)}): "
            "add it there on every node, or set advertise to the one that is meant."
        )
    if config.join is not None and len(names) > 1:
        raise ConfigError(
            "join and cluster can't both be given: nodes that found a cluster together list each other in "
            "cluster, a node that is added to one that exists needs join only."
        )
    listed = config.cluster[names.index(own.client)]
    if listed.peer_port != config.peer_port:
        raise ConfigError(
            f"The other nodes would look for this one at peer port {listed.peer_port}, but peer_port is "
            f"{config.peer_port}: write {own.client}@{config.peer_port} in cluster on every node."
        )
    for each in config.cluster:
        if each.peer_port > PORT_MAX:
            raise ConfigError(
                f"{each} leaves no room for its peer port: write it as {each.client}@PEERPORT in cluster."
            )


def _announced(config: Config) -> None:
    announced = config.announced
    if Address(announced.host, announced.client_port).is_wildcard:
        raise ConfigError(
            f"Clients can't connect to {announced.host}: set announce to a host that they reach."
        )
    ports = announced[1:]
    if not all(1 <= port <= PORT_MAX for port in ports) or len(set(ports)) < len(ports):
        raise ConfigError(
            f"The ports announced would be {', '.join(map(str, ports))}: give announce three different ones "
            f"from 1 to {PORT_MAX}, as HOST:PORT:PRIMARY:REPLICA."
        )


def _secret(config: Config) -> None:
    size = len(config.cluster_secret.encode())
    if not size:
        if not config.listen.is_loopback:
            raise ConfigError(
                f"Without a cluster secret a node binds to loopback addresses only, not to {config.host}: "
                "set cluster_secret_file (or REDRAFT_CLUSTER_SECRET), or listen on 127.0.0.1."
            )
        return
    if not SECRET_BYTES_MIN <= size <= SECRET_BYTES_MAX:
        raise ConfigError(
            f"The cluster secret has {size} bytes: it must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} "
            "(openssl rand -hex 32 makes a good one)."
        )


def _timing(config: Config) -> None:
    if config.heartbeat_ms * 3 > config.election_timeout_ms:
        raise ConfigError(
            f"heartbeat_ms ({config.heartbeat_ms}) must be at most a third of election_timeout_ms "
            f"({config.election_timeout_ms}), or one lost packet costs a leader its office."
        )
    if config.leader_wait_ms > config.request_timeout_ms:
        raise ConfigError(
            f"leader_wait_ms ({config.leader_wait_ms}) must be at most request_timeout_ms "
            f"({config.request_timeout_ms}): raise the one or lower the other."
        )


def _sizes(config: Config) -> None:
    for small, large, reason in (
        ("proto_max_bulk_len", "client_query_buffer_limit", "or the largest value could never be received"),
        ("entry_bytes_max", "append_bytes_max", "or a full entry would always travel alone"),
        ("append_bytes_max", "inflight_bytes_max", "or nothing could ever be sent"),
        ("inflight_bytes_max", "peer_queue_bytes_max", "or a full window would close its own link"),
    ):
        if getattr(config, small) > getattr(config, large):
            values = f"{small} ({getattr(config, small)}) must be at most {large} ({getattr(config, large)})"
            raise ConfigError(f"{values}, {reason}.")
