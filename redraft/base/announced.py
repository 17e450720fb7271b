"""`HOST[:PORT[:PRIMARY:REPLICA]]`: where clients are told to find a node, when that is not where it listens.

A translated network or a container has other names and port numbers outside than inside.  What is announced
is for clients; nodes find each other by `redraft.base.address`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from redraft.base.errors import ConfigError
from redraft.base.limits import PORT_MAX

_SHAPE: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]\s]+))(?::(\d+)(?::(\d+):(\d+))?)?")


class Announced(NamedTuple):
    """A host and the three ports of clients; a port that is not given is 0, as is a host that is not: ""."""

    host: str
    client_port: int = 0
    primary_port: int = 0
    replica_port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        ports = self[1:] if self.primary_port else self[1:2] if self.client_port else ()
        return ":".join((host, *map(str, ports)))

    def filled(self, client_port: int, primary_port: int, replica_port: int) -> Announced:
        """Itself with all ports, from those the node listens on: at the same distances if one is given."""
        if self.primary_port:
            return self
        shift = self.client_port - client_port if self.client_port else 0
        return Announced(self.host, client_port + shift, primary_port + shift, replica_port + shift)


NOTHING: Final = Announced("")
"""A node that announces nothing is shown where it listens."""


def parse_announced(text: str) -> Announced:
    """Read `HOST[:PORT[:PRIMARY:REPLICA]]`; an IPv6 host stands in brackets.  Raises ConfigError."""
    found = _SHAPE.fullmatch(text.strip())
    ports = [int(digits or 0) for digits in found.groups()[2:]] if found is not None else []
    given = [digits for digits in found.groups()[2:] if digits is not None] if found is not None else []
    if found is None or not all(1 <= int(digits) <= PORT_MAX for digits in given):
        raise ConfigError(
            f'"{text}" can\'t be announced: write HOST, HOST:PORT or HOST:PORT:PRIMARY:REPLICA, '
            "an IPv6 host in brackets."
        )
    return Announced(found[1] or found[2], *ports)
