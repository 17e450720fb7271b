"""`HOST:PORT`, as users write it and as the cluster lists it.

An address names a node by its client port.  `HOST:PORT@PEERPORT` (as in CLUSTER NODES) gives its
peer port too, where that is not client port + 10000.  No name is resolved here.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from redraft.base.errors import ConfigError
from redraft.base.limits import PEER_PORT_OFFSET, PORT_MAX


class Address(NamedTuple):
    """A node's client address; `given_peer_port` is 0 where it follows from the client port."""

    host: str
    port: int
    given_peer_port: int = 0

    def __str__(self) -> str:
        bus = f"@{self.given_peer_port}" if self.given_peer_port else ""
        return f"{self.client}{bus}"

    @property
    def client(self) -> str:
        """`HOST:PORT`, what a client would be given; IPv6 hosts in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def peer_port(self) -> int:
        """The port other nodes dial."""
        return self.given_peer_port or self.port + PEER_PORT_OFFSET

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every interface, and so can't be dialled."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Read `HOST:PORT[@PEERPORT]`; an IPv6 host stands in brackets.  Raises ConfigError."""
    where, _, bus = text.strip().partition("@")
    host, colon, port = where.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f'"{text}" is ambiguous: write an IPv6 address in brackets, as in [::1]:6379.')
    if not colon or not host:
        raise ConfigError(f'"{text}" is not an address: write HOST:PORT, as in 127.0.0.1:6379.')
    return Address(host, _port(text, port), _port(text, bus) if bus else 0)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read addresses separated by commas."""
    return tuple(parse_address(part) for part in text.split(",") if part.strip())


def _port(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits) <= PORT_MAX:
        raise ConfigError(f'"{text}" has no valid port: it must be a number from 1 to {PORT_MAX}.')
    return int(digits)
