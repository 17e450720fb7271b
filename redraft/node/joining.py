"""How a new node becomes a member: it asks any member over the peer handshake, until the cluster has decided.

The member that is asked puts it to the topology group (`Join`) and answers with the node's id and the
charter.  Asked again, because an answer was lost, the cluster says the same, for a node is known by the id
in its data directory; so nothing is lost by asking again, and nobody gets two ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import trio

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.base.limits import DIAL_BACKOFF_FIRST_MS, DIAL_BACKOFF_LAST_MS, PORT_MAX
from redraft.control.applier import reason_of, topology_of
from redraft.control.topology import Join
from redraft.node.bootstrap import Bootstrap, Charter, Configuration
from redraft.node.steering import Change
from redraft.transport.handshake import Admitted, Card, Kind, Refusal, TheyRefuseError, WeRefuseError
from redraft.transport.peers import Peers

if TYPE_CHECKING:
    from redraft.node.node import Node

_charter = msgspec.msgpack.Decoder(Charter)

log = logging.getLogger("redraft.node")


def encode_charter(charter: Charter) -> bytes:
    """The charter as it travels."""
    return msgspec.msgpack.encode(charter)


class Admission:
    """The member's side: puts who asks to the topology group, and tells it what came of that."""

    __slots__ = ("_bootstrap", "_node", "_wake")

    def __init__(self, node: Node, bootstrap: Bootstrap, wake: Callable[[], None]) -> None:
        """`wake` lets the node's cycle run."""
        self._node = node
        self._bootstrap = bootstrap
        self._wake = wake

    async def __call__(self, card: Card) -> Admitted | Refusal:
        """Ask for a node to be made a member; the answer comes once that is decided, or a time-out is."""
        command = Join(
            card.hex_id, card.host, card.client_port, card.primary_port, card.replica_port, card.peer_port
        )
        answered, replies = trio.Event(), list[bytes]()

        def then(reply: bytes) -> None:
            replies.append(reply)
            answered.set()

        self._node.submit(Change(command, then))
        self._wake()
        await answered.wait()
        reply = replies[0]
        reason = reason_of(reply)
        if reason is not None:
            decided = reply.startswith(b"-ERR")
            return Refusal(Kind.CLUSTER if decided else Kind.NOT_READY, reason)
        topology = topology_of(reply)
        node_id = next(node.node_id for node in topology.nodes if node.hex_id == card.hex_id)
        return Admitted(node_id, encode_charter(self._bootstrap.charter(topology)))


async def join(bootstrap: Bootstrap, peers: Peers, member: Address) -> Configuration:
    """Return the cluster's first configuration once this node is a member of it.

    `member` is the client address or the peer address of any member.  Raises PeerRefusedError when the
    cluster will not have this node.
    """
    backoff_ms, told = DIAL_BACKOFF_FIRST_MS, ""
    while bootstrap.joins:
        try:
            admitted = await _ask(peers, member)
            charter = _charter.decode(admitted.charter)
        except (OSError, PeerRefusedError) as error:
            if isinstance(error, TheyRefuseError | WeRefuseError) and error.kind not in ("", Kind.NOT_READY):
                raise
            reason = str(error) if isinstance(error, PeerRefusedError) else error.strerror or str(error)
            if reason != told:
                log.warning("%s can't be joined yet: %s", member, reason)
            told = reason
            await trio.sleep(backoff_ms / 1000)
            backoff_ms = min(2 * backoff_ms, DIAL_BACKOFF_LAST_MS)
        except msgspec.MsgspecError as error:
            raise PeerRefusedError(f"{member} runs another version of redraft: {error}.") from None
        else:
            bootstrap.admitted(charter, admitted.node_id)
            log.info("joined as node %d of cluster %s", admitted.node_id, charter.cluster_id[:12])
    return bootstrap.configuration


async def _ask(peers: Peers, member: Address) -> Admitted:
    """Try where the peer port of a client address would be, then the address itself."""
    ports = (member.peer_port,) if member.given_peer_port else (member.peer_port, member.port)
    failure: OSError | WeRefuseError | None = None
    for port in ports:
        if port > PORT_MAX:
            continue
        try:
            return (await peers.join(member.host, port))[1]
        except OSError as error:
            failure = failure or error
        except WeRefuseError as error:
            if error.kind:
                raise
            failure = failure or error
    assert failure is not None
    raise failure
