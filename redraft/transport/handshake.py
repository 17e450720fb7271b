"""The handshake: two nodes prove to each other that they know the cluster's secret, then show who they are.

    dialer                                         acceptor
      HELLO     magic, versions, nonce         ->
                                               <-  CHALLENGE  version, nonce
      PROOF     purpose, card, mac             ->
                                               <-  PROOF      purpose, card, mac
      WELCOME                                  ->
                                               <-  ADMITTED   node id, charter     (purpose JOIN only)

Each frame is a u32 length (little-endian) and a msgpack map whose "type" names it; either side may
answer REFUSED with a kind and a sentence instead, and close.  A mac is HMAC-SHA256 with the secret
over the role, the version, both nonces, the purpose and the card, so that nothing of it can be
replayed, mirrored or altered.  The acceptor shows its card only to a dialer that has proved itself.

Invariants: nothing a peer says is believed before its mac is checked; every frame has at most
HANDSHAKE_BYTES_MAX bytes.  Sans I/O: a side is a generator that yields bytes to send, is sent the
next frame of the peer, and returns the peer's card.  It raises PeerRefusedError: `WeRefuseError` carries
the bytes to send before closing, `TheyRefuseError` what the peer said.

Must not know who belongs to the cluster: that is the `judge`'s business (`redraft.node.bootstrap`).
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Callable, Generator
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from redraft.base.errors import PeerRefusedError
from redraft.base.limits import ADMISSION_BYTES_MAX, HANDSHAKE_BYTES_MAX, PORT_MAX
from redraft.transport.frames import PROTOCOL_VERSION

MAGIC: Final = "redraft peer"
OLDEST_VERSION: Final = 1
"""The oldest protocol this node still speaks."""
NONCE_BYTES: Final = 32
LENGTH: Final = struct.Struct("<I")

Port = Annotated[int, Meta(ge=1, le=PORT_MAX)]
HexId = Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
REASON_CHARACTERS_MAX: Final = 4000
Sentence = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]


class Kind(StrEnum):
    """Why a peer is refused; a new kind needs no new protocol version."""

    SECRET = "secret"  # noqa: S105  # a word, not a password
    VERSION = "version"
    LOCAL = "local"
    CLUSTER = "cluster"
    SETTINGS = "settings"
    WIPED = "wiped"
    REMOVED = "removed"
    IDENTITY = "identity"
    NOT_READY = "not ready"


class Purpose(StrEnum):
    """What a connection is for."""

    INTRODUCE = "introduce"
    """To see each other's card; the connection ends with the handshake."""
    LINK = "link"
    """To exchange frames."""
    JOIN = "join"
    """To ask to be made a member; the answer comes once the cluster has decided."""


class Stage(StrEnum):
    """How far a node has come in founding its cluster (`redraft.node.bootstrap`)."""

    NEW = "new"
    PROMISED = "promised"
    FORMED = "formed"


class Card(msgspec.Struct, frozen=True):
    """Who a node is: its id, start count, addresses, and the cluster it belongs to or wants to found."""

    hex_id: HexId
    incarnation: Annotated[int, Meta(ge=1, lt=2**32)]
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    client_port: Port
    primary_port: Port
    replica_port: Port
    peer_port: Port
    stage: Stage
    cluster_id: Annotated[str, Meta(max_length=40)]
    founding: Annotated[str, Meta(max_length=16_000)]
    software: Annotated[str, Meta(max_length=40)]
    node_id: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """The node's small id, 0 while it has none."""

    @property
    def address(self) -> str:
        """HOST:PORT of the client port, by which people know the node."""
        return f"[{self.host}]:{self.client_port}" if ":" in self.host else f"{self.host}:{self.client_port}"


class Refusal(NamedTuple):
    """Why a peer is refused: a kind for programs and a sentence, with what to do, for people."""

    kind: str
    reason: str


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """The dialer's first words."""

    magic: Annotated[str, Meta(pattern=f"^{MAGIC}$")]
    oldest: Annotated[int, Meta(ge=1)]
    newest: Annotated[int, Meta(ge=1)]
    nonce: Nonce


class Challenge(msgspec.Struct, frozen=True, tag_field="type", tag="challenge"):
    """The acceptor's choice of version, and its nonce."""

    version: Annotated[int, Meta(ge=1)]
    nonce: Nonce


class Proof(msgspec.Struct, frozen=True, tag_field="type", tag="proof"):
    """A card and the proof that whoever wrote it knows the secret."""

    purpose: Purpose
    card: bytes
    mac: bytes


class Welcome(msgspec.Struct, frozen=True, tag_field="type", tag="welcome"):
    """The dialer accepts the acceptor."""


class Admitted(msgspec.Struct, frozen=True, tag_field="type", tag="admitted"):
    """The cluster has made the dialer a member; `charter` is what a member has to know (`node.joining`)."""

    node_id: Annotated[int, Meta(ge=1, lt=2**32)]
    charter: bytes


class Refused(msgspec.Struct, frozen=True, tag_field="type", tag="refused"):
    """Either side's last words."""

    kind: Annotated[str, Meta(max_length=40)]
    reason: Sentence


Speech: TypeAlias = Hello | Challenge | Proof | Welcome | Admitted | Refused
Judge: TypeAlias = Callable[[Card, Purpose], Refusal | None]
"""Says whether a node that knows the secret is to be refused all the same."""

ExpectedT = TypeVar("ExpectedT", Hello, Challenge, Proof, Welcome, Admitted)
_encoder = msgspec.msgpack.Encoder()
_speech: Final = msgspec.msgpack.Decoder(Speech)
_card: Final = msgspec.msgpack.Decoder(Card)


class WeRefuseError(PeerRefusedError):
    """We refuse the peer; `frame` tells it so (empty where it would only be told that it talks nonsense)."""

    def __init__(self, refusal: Refusal | None, sentence: str = "") -> None:
        super().__init__(refusal.reason if refusal else sentence)
        self.kind = refusal.kind if refusal else ""
        self.frame = _frame(Refused(refusal.kind, refusal.reason[:REASON_CHARACTERS_MAX])) if refusal else b""


class TheyRefuseError(PeerRefusedError):
    """The peer refuses us and says why; it may not have proved itself, so its words are kept to one line."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("".join(each if each.isprintable() else "?" for each in refusal.reason))
        self.kind = refusal.kind


class Party(NamedTuple):
    """This node in a handshake: the secret (empty: none), its card of the moment, and its judgement."""

    secret: bytes
    card: Callable[[], Card]
    judge: Judge


class Outcome(NamedTuple):
    """What a handshake that succeeded has found out."""

    card: Card
    purpose: Purpose


Side: TypeAlias = Generator[bytes, bytes, Outcome]


def dialing(party: Party, purpose: Purpose) -> Side:
    """The side that dialled; the last bytes it yields want no answer and are sent before it returns."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    challenge = _heard((yield _frame(Hello(MAGIC, OLDEST_VERSION, PROTOCOL_VERSION, nonce))), Challenge)
    if not OLDEST_VERSION <= challenge.version <= PROTOCOL_VERSION:
        raise WeRefuseError(_version_refusal(challenge.version, challenge.version))
    transcript = _Transcript(party.secret, challenge.version, nonce, challenge.nonce)
    card = _encoder.encode(party.card())
    answer = yield _frame(Proof(purpose, card, transcript.mac(b"dialer", purpose, card)))
    proof = _heard(answer, Proof)
    if proof.purpose != purpose:
        raise WeRefuseError(None, "the peer answers another question")
    theirs = transcript.check(b"acceptor", proof)
    _judge(party, theirs, purpose)
    return Outcome(theirs, purpose)


WELCOME: Final = LENGTH.pack(len(_encoder.encode(Welcome()))) + _encoder.encode(Welcome())
"""What the dialer sends once `dialing` has returned."""


def accepting(party: Party) -> Side:
    """The side that was dialled; it first yields nothing, and is done when the dialer's welcome came."""
    hello = _heard((yield b""), Hello)
    version = min(hello.newest, PROTOCOL_VERSION)
    if not max(hello.oldest, OLDEST_VERSION) <= version:
        raise WeRefuseError(_version_refusal(hello.oldest, hello.newest))
    nonce = secrets.token_bytes(NONCE_BYTES)
    transcript = _Transcript(party.secret, version, hello.nonce, nonce)
    proof = _heard((yield _frame(Challenge(version, nonce))), Proof)
    theirs = transcript.check(b"dialer", proof)
    _judge(party, theirs, proof.purpose)
    card = _encoder.encode(party.card())
    answer = yield _frame(Proof(proof.purpose, card, transcript.mac(b"acceptor", proof.purpose, card)))
    _heard(answer, Welcome)
    return Outcome(theirs, proof.purpose)


def answer_frame(answer: Admitted | Refusal) -> bytes:
    """What the acceptor says last to who wants to join."""
    if isinstance(answer, Refusal):
        return _frame(Refused(answer.kind, answer.reason[:REASON_CHARACTERS_MAX]))
    return _frame(answer)


def admission(frame: bytes) -> Admitted:
    """What the frame behind a handshake to join says; raises TheyRefuseError, or WeRefuseError for noise."""
    return _heard(frame, Admitted)


def frame_bytes(length: bytes, bytes_max: int = HANDSHAKE_BYTES_MAX) -> int:
    """How many bytes follow a frame's length; raises WeRefuseError for more than there may be."""
    (size,) = LENGTH.unpack(length)
    if not 0 < size <= bytes_max:
        raise WeRefuseError(None, "it does not speak redraft's peer protocol")
    return int(size)


class _Transcript(NamedTuple):
    secret: bytes
    version: int
    dialer_nonce: bytes
    acceptor_nonce: bytes

    def mac(self, role: bytes, purpose: Purpose, card: bytes) -> bytes:
        fixed = b"%s %s %d\0" % (MAGIC.encode(), role, self.version) + self.dialer_nonce + self.acceptor_nonce
        said = fixed + purpose.encode() + b"\0" + card
        return hmac.digest(self.secret, said, "sha256")

    def check(self, role: bytes, proof: Proof) -> Card:
        if not hmac.compare_digest(proof.mac, self.mac(role, proof.purpose, proof.card)):
            raise WeRefuseError(
                Refusal(
                    Kind.SECRET,
                    "The two nodes have different cluster secrets (or only one has any): "
                    "give every node the same cluster_secret_file.",
                )
            )
        try:
            return _card.decode(proof.card)
        except msgspec.MsgspecError as error:
            raise WeRefuseError(None, f"its card can't be read: {error}") from None


def _judge(party: Party, card: Card, purpose: Purpose) -> None:
    refusal = party.judge(card, purpose)
    if refusal is not None:
        raise WeRefuseError(refusal)


def _version_refusal(oldest: int, newest: int) -> Refusal:
    theirs = f"{oldest}" if oldest == newest else f"{oldest} to {newest}"
    older = newest < OLDEST_VERSION
    return Refusal(
        Kind.VERSION,
        f"One node speaks peer protocol {theirs}, the other {OLDEST_VERSION} to {PROTOCOL_VERSION}: "
        f"upgrade the {'former' if older else 'latter'} (one version at a time in a rolling upgrade).",
    )


def _heard(frame: bytes, expected: type[ExpectedT]) -> ExpectedT:
    try:
        speech = _speech.decode(frame)
    except msgspec.MsgspecError:
        raise WeRefuseError(None, "it does not speak redraft's peer protocol") from None
    if isinstance(speech, Refused):
        raise TheyRefuseError(Refusal(speech.kind, speech.reason))
    if not isinstance(speech, expected):
        raise WeRefuseError(None, f"it says {type(speech).__name__} where {expected.__name__} is due")
    return speech


def _frame(speech: Speech) -> bytes:
    body = _encoder.encode(speech)
    assert len(body) <= (ADMISSION_BYTES_MAX if isinstance(speech, Admitted) else HANDSHAKE_BYTES_MAX)
    return LENGTH.pack(len(body)) + body
