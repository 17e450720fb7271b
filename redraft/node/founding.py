"""The founding carried out: meet the listed nodes, again and again, until the cluster is formed.

Owns the patience: how often to try, and what to say to people meanwhile.  What follows from a meeting
is `bootstrap`'s decision, how nodes meet is the transport's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.base.limits import DIAL_BACKOFF_FIRST_MS, DIAL_BACKOFF_LAST_MS
from redraft.node.bootstrap import Bootstrap, Configuration
from redraft.transport.handshake import Kind, TheyRefuseError

WAITING_LOG_MS: Final = 2000
"""How long nodes may be missing before it is logged which."""

log = logging.getLogger("redraft.node")


class Meetings(Protocol):
    """How nodes meet (`redraft.transport.peers`)."""

    def changed(self) -> trio.Event:
        """An event that is set at the next change of this node's stage."""

    async def introduce(self, address: Address) -> None:
        """Show this node's card to a listed node and see its own; raises OSError or PeerRefusedError."""


async def form(bootstrap: Bootstrap, meetings: Meetings) -> Configuration:
    """Return the first configuration once the cluster is formed: at once, when it is already.

    Raises PeerRefusedError when the cluster has no place for this node any more (it was wiped).
    """
    backoff_ms = DIAL_BACKOFF_FIRST_MS
    started, told = trio.current_time(), False
    while not bootstrap.formed:
        changed = meetings.changed()
        missing = await _meet_all(bootstrap.others, meetings.introduce)
        if bootstrap.formed:
            break
        with trio.move_on_after(backoff_ms / 1000):
            await changed.wait()
        backoff_ms = DIAL_BACKOFF_FIRST_MS if changed.is_set() else min(2 * backoff_ms, DIAL_BACKOFF_LAST_MS)
        if missing and not told and trio.current_time() - started > WAITING_LOG_MS / 1000:
            log.info("waiting for %s: to be founded, a cluster needs every listed node", ", ".join(missing))
            told = True
    configuration = bootstrap.configuration
    log.info("node %d of cluster %s", configuration.node_id, configuration.cluster_id[:12])
    return configuration


async def _meet_all(
    addresses: tuple[Address, ...], introduce: Callable[[Address], Awaitable[None]]
) -> list[str]:
    """Meet all at once; returns whom it could not meet."""
    missing: list[str] = []
    hopeless: list[PeerRefusedError] = []

    async def meet(address: Address) -> None:
        try:
            await introduce(address)
        except OSError:
            missing.append(address.client)
        except PeerRefusedError as error:
            missing.append(address.client)
            if isinstance(error, TheyRefuseError) and error.kind == Kind.WIPED:
                hopeless.append(error)

    async with trio.open_nursery() as nursery:
        for address in addresses:
            nursery.start_soon(meet, address)
    if hopeless:
        raise hopeless[0]
    return missing
