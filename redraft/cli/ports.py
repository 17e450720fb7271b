"""Whether the ports a node needs are free, asked before anything is written or started.

The answer can be out of date a moment later (the node's own bind has the last word); it is here so
that the usual mistake, a Redis that already runs, is told at once and by name.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from redraft.base.config import Config
from redraft.base.errors import AddressError

NAMES = ("client", "primary", "replica", "peer")


def ports_of(config: Config) -> tuple[int, int, int, int]:
    """The four ports of a node, in the order of NAMES."""
    return config.port, config.primary_port, config.replica_port, config.peer_port


def check_ports(configs: Iterable[Config], remedy: str) -> None:
    """Raise AddressError, ending in `remedy`, unless every port of these nodes can be bound now."""
    for config in configs:
        for name, port in zip(NAMES, ports_of(config), strict=True):
            _check(config.host, port, name, remedy)


def _check(host: str, port: int, name: str, remedy: str) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise AddressError(f"The host name {host} can't be resolved: {remedy}.") from None
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise AddressError(f"{_reason(error, host, port, name)} {remedy}.") from None


def _reason(error: OSError, host: str, port: int, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} (the {name} port) is in use: stop what listens there, or"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine:"
    if error.errno == errno.EACCES:
        return f"Port {port} (the {name} port) may only be used by root:"
    return f"Port {port} of {host} can't be used ({error.strerror}):"
