"""Sockets up to the end of the handshake: listening, dialling, carrying the handshake's bytes.

Owns time-outs and the limits for peers that have not proved anything yet.  Invariants: a handshake
ends within HANDSHAKE_TIMEOUT_MS, whatever the peer does; no byte behind it is read; a socket is
either returned or closed.  Without a secret only loopback addresses are spoken to.

Must not know what the handshake says, or what becomes of the connection.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

import trio

from redraft.base.errors import AddressError
from redraft.base.limits import ADMISSION_BYTES_MAX, ADMISSION_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS
from redraft.transport.handshake import (
    LENGTH,
    WELCOME,
    Admitted,
    Kind,
    Outcome,
    Party,
    Purpose,
    Refusal,
    Side,
    WeRefuseError,
    accepting,
    admission,
    answer_frame,
    dialing,
    frame_bytes,
)

DIAL_TIMEOUT_MS = 2000
"""How long connecting may take (all addresses of a name together)."""
BACKLOG = 128


async def bind(host: str, port: int) -> list[trio.SocketListener]:
    """Bind the peer port on every address of `host`; raises AddressError."""
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = "is in use: stop what uses it, or choose another with --peer-port."
        else:
            what = f"can't be bound ({error.strerror or error}): correct --listen or --peer-port."
        raise AddressError(f"Peer port {port} on {host} {what}") from error


async def dial(host: str, port: int, party: Party, purpose: Purpose) -> tuple[Outcome, socket.socket]:
    """Connect and shake hands; raises OSError (TimeoutError included) or PeerRefusedError."""
    stream: trio.SocketStream | None = None
    try:
        with trio.fail_after(DIAL_TIMEOUT_MS / 1000):
            stream = await trio.open_tcp_stream(host, port)
        if not party.secret and not is_local(stream):
            raise WeRefuseError(_not_local(host))
        outcome = await _carry(stream, dialing(party, purpose))
        with trio.fail_after(HANDSHAKE_TIMEOUT_MS / 1000):
            await stream.send_all(WELCOME)
        return outcome, _detached(stream)
    except trio.TooSlowError:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time") from None
    except trio.BrokenResourceError as error:
        raise ConnectionResetError(errno.ECONNRESET, "the connection broke in the handshake") from error
    finally:
        if stream is not None:
            stream.socket.close()  # at once, without a checkpoint that could lose what is returned


async def accept(stream: trio.SocketStream, party: Party) -> tuple[Outcome, socket.socket]:
    """Shake hands with whoever has connected; raises OSError or PeerRefusedError, closing the connection."""
    try:
        if not party.secret and not is_local(stream):
            error = WeRefuseError(_not_local("the dialling one"))
            await _last_words(stream, error.frame)
            raise error
        return await _carry(stream, accepting(party)), _detached(stream)
    except trio.TooSlowError:
        raise TimeoutError(errno.ETIMEDOUT, "no handshake in time") from None
    except trio.BrokenResourceError as error:
        raise ConnectionResetError(errno.ECONNRESET, "the connection broke in the handshake") from error
    finally:
        stream.socket.close()


async def hear_answer(connection: socket.socket) -> Admitted:
    """Wait, behind a handshake to join, for what the cluster decides; closes the connection.

    Raises OSError or PeerRefusedError.
    """
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    try:
        with trio.fail_after(ADMISSION_TIMEOUT_MS / 1000):
            size = frame_bytes(await _exactly(stream, LENGTH.size), ADMISSION_BYTES_MAX)
            return admission(await _exactly(stream, size))
    except trio.TooSlowError:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time") from None
    except trio.BrokenResourceError as error:
        raise ConnectionResetError(errno.ECONNRESET, "the connection broke") from error
    finally:
        stream.socket.close()


async def give_answer(connection: socket.socket, answer: Admitted | Refusal) -> None:
    """Tell who wants to join what the cluster decided, and close the connection; the peer may be gone."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    try:
        with trio.move_on_after(HANDSHAKE_TIMEOUT_MS / 1000):
            await _last_words(stream, answer_frame(answer))
    finally:
        stream.socket.close()


def is_local(stream: trio.SocketStream) -> bool:
    """Whether the other end is on this machine, by its address."""
    try:
        host = stream.socket.getpeername()[0]
    except OSError:
        return False
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


async def _carry(stream: trio.SocketStream, side: Side) -> Outcome:
    """Send what the side yields and give it the peer's next frame, until it returns."""
    with trio.fail_after(HANDSHAKE_TIMEOUT_MS / 1000):
        try:
            said = next(side)
            while True:
                if said:
                    await stream.send_all(said)
                size = frame_bytes(await _exactly(stream, LENGTH.size))
                said = side.send(await _exactly(stream, size))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        except WeRefuseError as error:
            await _last_words(stream, error.frame)
            raise


async def _exactly(stream: trio.SocketStream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = await stream.receive_some(size - len(received))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed in the handshake")
        received += piece
    return bytes(received)


async def _last_words(stream: trio.SocketStream, frame: bytes) -> None:
    try:
        if frame:
            await stream.send_all(frame)
        await stream.send_eof()
    except (trio.BrokenResourceError, OSError):
        return


def _detached(stream: trio.SocketStream) -> socket.socket:
    return socket.socket(fileno=stream.socket.detach())


def _not_local(host: str) -> Refusal:
    return Refusal(
        Kind.LOCAL,
        f"Without a cluster secret a node speaks to loopback addresses only, and {host} is none: "
        "give every node the same cluster_secret_file.",
    )
