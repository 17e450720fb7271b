"""How a new node becomes a member: it asks any member over the peer handshake, until the cluster has decided.

The member that is asked puts it to the topology group (`Join`) and answers with the node's id and the
charter.  Asked again, because an answer was lost, the cluster says the same, for a node is known by the id
in its data directory; so nothing is lost by asking again, and nobody gets two ids.
"""

from __future__ import annotations

import logging

import msgspec
import trio

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.base.limits import DIAL_BACKOFF_FIRST_MS, DIAL_BACKOFF_LAST_MS, PORT_MAX
from redraft.node.bootstrap import Bootstrap, Charter, Configuration
from redraft.transport.handshake import Admitted, Kind, TheyRefuseError, WeRefuseError
from redraft.transport.peers import Peers

_charter = msgspec.msgpack.Decoder(Charter)

log = logging.getLogger("redraft.node")


def encode_charter(charter: Charter) -> bytes:
    """The charter as it travels."""
    return msgspec.msgpack.encode(charter)


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
