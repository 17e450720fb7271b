"""A node's answer to REDRAFT STATUS: its shape, and how to ask for it.

The answer is one node's view: of a group it leads it knows all replicas, of others only its own.
`joined` makes one view of several.  Fields that an older or newer node leaves out have defaults.
"""

from __future__ import annotations

import os
import socket

import hiredis
import msgspec
import trio

from redraft.base.address import Address
from redraft.base.errors import RedraftError
from redraft.base.limits import MIB

REQUEST = b"*2\r\n$7\r\nREDRAFT\r\n$6\r\nSTATUS\r\n"
REPORT_BYTES_MAX = 16 * MIB


class NoAnswerError(RedraftError):
    """A node that could not be asked, or that did not answer as a redraft node does."""


class NodeRow(msgspec.Struct):
    """A member, as the asked node sees it."""

    id: int
    hex_id: str = ""
    address: str = ""
    primary_port: int = 0
    replica_port: int = 0
    peer_port: int = 0
    alive: bool = False
    rtt_ms: float | None = None
    leaving: bool = False
    draining: bool = False


class ReplicaRow(msgspec.Struct):
    """A replica of a group, as the group's leader sees it."""

    node: int
    match_index: int = 0
    state: str = ""


class GroupRow(msgspec.Struct):
    """A group, as the asked node sees it; `leader` is 0 (or null) while there is none."""

    id: int
    slots: list[tuple[int, int]] = []
    role: str = ""
    leader: int | None = 0
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    last_index: int = 0
    replicas: list[ReplicaRow] = []
    keys: int = 0
    snapshot_index: int = 0
    snapshot_sending: dict[int, tuple[int, int]] = {}
    """(bytes arrived, size) of what the asked node sends, by follower."""
    voters: list[int] = []
    moving: bool = False
    dropping: bool = False
    digest_index: int = 0
    digest: str = ""


class MoveRow(msgspec.Struct):
    """Slots on their way from one group to another; `phase` is known to the node that carries it out."""

    id: int
    slots: list[tuple[int, int]] = []
    source: int = 0
    target: int = 0
    cancelled: bool = False
    accepted: bool = False
    phase: str = ""
    keys: int = 0
    keys_to_do: int = 0
    changed: int = 0
    bytes: int = 0
    bytes_per_s: int = 0
    remaining_s: float | None = None


class Report(msgspec.Struct):
    """One node's view of itself and its cluster."""

    node: int = 0
    hex_id: str = ""
    cluster_id: str = ""
    version: str = ""
    ready: bool = False
    nodes: list[NodeRow] = []
    groups: list[GroupRow] = []
    uptime_s: float = 0.0
    epoch: int = 0
    moves: list[MoveRow] = []
    next_move: int = 0
    """Above the ids of all moves that the node has heard of."""


async def ask(address: Address, timeout_s: float, request: bytes = REQUEST) -> bytes:
    """Return the reply to one request as bytes; raises NoAnswerError with a sentence."""
    reply = await ask_anything(address, timeout_s, request)
    if isinstance(reply, Exception):
        raise NoAnswerError(f"What answers at {address.client} is no redraft node: it says {reply}.")
    if not isinstance(reply, bytes):
        raise NoAnswerError(f"What answers at {address.client} is no redraft node.")
    return reply


async def ask_anything(address: Address, timeout_s: float, request: bytes) -> object:
    """Return the reply to one request, an error reply as an exception; raises NoAnswerError."""
    try:
        with trio.fail_after(timeout_s):
            stream = await trio.open_tcp_stream(address.host, address.port)
            async with stream:
                await stream.send_all(request)
                return await _reply(stream)
    except trio.TooSlowError:
        raise NoAnswerError(f"The node at {address.client} did not answer within {timeout_s:g} s.") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise NoAnswerError(f"No node answers at {address.client} ({_cause(error)}).") from None
    except hiredis.ProtocolError:
        raise NoAnswerError(f"What answers at {address.client} does not speak the Redis protocol.") from None


async def ask_report(address: Address, timeout_s: float) -> Report:
    """Return the report of the node at an address; raises NoAnswerError."""
    return read_report(await ask(address, timeout_s), address)


def read_report(reply: bytes, address: Address) -> Report:
    """Decode a reply to REQUEST; raises NoAnswerError when it is not one."""
    try:
        return msgspec.json.decode(reply, type=Report)
    except msgspec.MsgspecError as error:
        raise NoAnswerError(f"The status of {address.client} can't be read ({error}).") from None


def joined(first: Report, others: list[Report]) -> Report:
    """Return `first` with each group as its leader sees it, if it is among the asked; moves likewise."""
    groups = {group.id: group for group in first.groups}
    moves = {move.id: move for move in first.moves}
    for report in others:
        for group in report.groups:
            known = groups.get(group.id)
            if known is None or (group.role == "leader" and group.term >= known.term):
                groups[group.id] = group
        moves |= {move.id: move for move in report.moves if move.phase and move.id in moves}
    return msgspec.structs.replace(
        first, groups=[groups[number] for number in sorted(groups)], moves=list(moves.values())
    )


async def _reply(stream: trio.SocketStream) -> object:
    reader = hiredis.Reader()
    received = 0
    while True:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("it closed the connection")
        received += len(data)
        if received > REPORT_BYTES_MAX:
            raise hiredis.ProtocolError("the reply does not end")
        reader.feed(bytes(data))
        reply = reader.gets()
        if reply is not False:
            return reply


def _cause(error: BaseException) -> str:
    """What went wrong, in a few words: Trio's own message lists every address it tried."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        elif isinstance(inner, socket.gaierror):
            return "the host name can't be resolved"
        elif isinstance(inner, OSError) and inner.errno and inner.__cause__ is None:
            return os.strerror(inner.errno).lower()
        elif inner.__cause__ is None:
            return str(inner)
        else:
            inner = inner.__cause__
    return str(error)
