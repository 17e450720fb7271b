"""The handshake between two sides in memory, and every way it may fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.base.errors import PeerRefusedError
from redraft.base.limits import HANDSHAKE_BYTES_MAX
from redraft.transport import handshake
from redraft.transport.frames import PROTOCOL_VERSION
from redraft.transport.handshake import (
    LENGTH,
    WELCOME,
    Card,
    Judge,
    Kind,
    Outcome,
    Party,
    Purpose,
    Refusal,
    Side,
    Stage,
    TheyRefuseError,
    WeRefuseError,
    accepting,
    dialing,
    frame_bytes,
)

SECRET = b"0123456789abcdef"


def card(number: int) -> Card:
    return Card(
        hex_id=f"{number:040x}",
        incarnation=1,
        host="127.0.0.1",
        client_port=6379 + number,
        primary_port=7379 + number,
        replica_port=8379 + number,
        peer_port=16379 + number,
        stage=Stage.FORMED,
        cluster_id="c" * 40,
        founding="all of them",
        software="0.1.0",
    )


def party(number: int, secret: bytes = SECRET, judge: Judge = lambda card, purpose: None) -> Party:
    return Party(secret, lambda: card(number), judge)


class Run:
    """Carries frames between two sides until both have ended; what each returned or raised is kept."""

    def __init__(self, dialer: Side, acceptor: Side) -> None:
        self.sides = {"dialer": dialer, "acceptor": acceptor}
        self.ends: dict[str, Outcome | PeerRefusedError] = {}
        self.said: list[tuple[str, bytes]] = []
        assert self.step("acceptor", None) == b""
        turn, frame = "dialer", self.step("dialer", None)
        while frame:
            self.said.append((turn, frame))
            turn = "acceptor" if turn == "dialer" else "dialer"
            if turn in self.ends:
                break
            frame = self.step(turn, self.body(frame))

    @staticmethod
    def body(frame: bytes) -> bytes:
        assert frame_bytes(frame[:4]) == len(frame) - 4
        return frame[4:]

    def step(self, name: str, heard: bytes | None) -> bytes:
        side = self.sides[name]
        try:
            return next(side) if heard is None else side.send(heard)
        except StopIteration as end:
            self.ends[name] = end.value
            return WELCOME if name == "dialer" else b""
        except WeRefuseError as error:
            self.ends[name] = error
            return error.frame
        except TheyRefuseError as error:
            self.ends[name] = error
            return b""

    def refusal(self) -> tuple[Any, Any]:
        """Who refused with which kind; both must know the same reason."""
        ours = next((name, end) for name, end in self.ends.items() if isinstance(end, WeRefuseError))
        theirs = next(end for end in self.ends.values() if isinstance(end, TheyRefuseError))
        assert str(ours[1]) == str(theirs)
        assert ours[1].kind == theirs.kind
        return ours[0], theirs.kind


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("secret", [SECRET, b""])
def test_handshake_shows_each_the_others_card(purpose: Purpose, secret: bytes) -> None:
    """With the same secret, or none on both sides, each learns the other's card and what it is for."""
    run = Run(dialing(party(1, secret), purpose), accepting(party(2, secret)))
    assert run.ends == {"dialer": Outcome(card(2), purpose), "acceptor": Outcome(card(1), purpose)}


@pytest.mark.parametrize("other", [b"another secret...", b"", SECRET + b"x"])
def test_handshake_refuses_another_secret(other: bytes) -> None:
    """Who has another secret, or none, is told so and what to do, and is not shown a card."""
    run = Run(dialing(party(1, other), Purpose.LINK), accepting(party(2)))
    assert run.refusal() == ("acceptor", Kind.SECRET)
    assert "cluster_secret_file" in str(run.ends["dialer"])
    assert not any(f"{2:040x}".encode() in frame for _name, frame in run.said)


def test_handshake_refuses_an_acceptor_without_the_secret() -> None:
    """An impostor at the other's address can only mirror what it hears, and that is no proof."""
    dialer = dialing(party(1), Purpose.LINK)
    next(dialer)
    challenge = handshake._frame(handshake.Challenge(1, bytes(32)))
    proof = dialer.send(challenge[4:])
    with pytest.raises(WeRefuseError, match="different cluster secrets"):
        dialer.send(proof[4:])


def test_handshake_proofs_do_not_serve_twice() -> None:
    """A recorded handshake, played again, is refused: the nonce is another one."""
    run = Run(dialing(party(1), Purpose.LINK), accepting(party(2)))
    recorded = [frame for name, frame in run.said if name == "dialer"]
    acceptor = accepting(party(2))
    next(acceptor)
    acceptor.send(recorded[0][4:])
    with pytest.raises(WeRefuseError, match="different cluster secrets"):
        acceptor.send(recorded[1][4:])


def test_handshake_proofs_cover_card_and_purpose() -> None:
    """A card or a purpose changed on the way breaks the proof."""
    for change in ({"purpose": Purpose.INTRODUCE}, {"card": handshake._encoder.encode(card(3))}):
        dialer, acceptor = dialing(party(1), Purpose.LINK), accepting(party(2))
        next(acceptor)
        proof = dialer.send(acceptor.send(next(dialer)[4:])[4:])
        speech = handshake._speech.decode(proof[4:])
        changed = msgspec.structs.replace(speech, **change)
        with pytest.raises(WeRefuseError) as refused:
            acceptor.send(handshake._frame(changed)[4:])
        assert refused.value.kind == Kind.SECRET


@pytest.mark.parametrize("refuser", ["dialer", "acceptor"])
def test_handshake_tells_the_judges_reason(refuser: str) -> None:
    """Whichever side's judge refuses, both sides know kind and reason."""

    def judge(card: Card, purpose: Purpose) -> Refusal | None:
        return Refusal(Kind.WIPED, "You were wiped.")

    judges: dict[str, Judge] = {refuser: judge}
    accepts: Judge = lambda card, purpose: None  # noqa: E731
    run = Run(
        dialing(party(1, judge=judges.get("dialer", accepts)), Purpose.LINK),
        accepting(party(2, judge=judges.get("acceptor", accepts))),
    )
    assert run.refusal() == (refuser, Kind.WIPED)


@pytest.mark.parametrize(("oldest", "newest"), [(7, 9), (1, 1)])
def test_handshake_refuses_versions_without_overlap(
    monkeypatch: pytest.MonkeyPatch, oldest: int, newest: int
) -> None:
    """Nodes that have no protocol version in common say which they speak and which to upgrade."""
    dialer = dialing(party(1), Purpose.LINK)
    hello = handshake._frame(handshake.Hello(handshake.MAGIC, oldest, newest, bytes(32)))
    next(dialer)
    if newest == 1:
        monkeypatch.setattr(handshake, "OLDEST_VERSION", 3)
        monkeypatch.setattr(handshake, "PROTOCOL_VERSION", 4)
    acceptor = accepting(party(2))
    next(acceptor)
    with pytest.raises(WeRefuseError, match=r"upgrade the (former|latter)") as refused:
        acceptor.send(hello[4:])
    assert refused.value.kind == Kind.VERSION
    assert ("former" in str(refused.value)) == (newest == 1)
    with pytest.raises(TheyRefuseError, match="upgrade"):
        dialer.send(refused.value.frame[4:])


def test_handshake_chooses_the_newest_common_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer node speaks the older one's version."""
    acceptor = accepting(party(2))
    next(acceptor)
    hello = handshake._frame(handshake.Hello(handshake.MAGIC, 1, 9, bytes(32)))
    challenge = handshake._speech.decode(acceptor.send(hello[4:])[4:])
    assert isinstance(challenge, handshake.Challenge)
    assert challenge.version == PROTOCOL_VERSION


@given(st.binary(max_size=300))
def test_handshake_of_noise_is_refused_silently(noise: bytes) -> None:
    """Whoever does not speak the protocol is not answered."""
    acceptor = accepting(party(2))
    next(acceptor)
    with pytest.raises(WeRefuseError, match=r"protocol|is due") as refused:
        acceptor.send(noise)
    assert refused.value.frame == b""


@pytest.mark.parametrize("size", [0, HANDSHAKE_BYTES_MAX + 1, int.from_bytes(b"GET ", "little")])
def test_handshake_frames_are_bounded(size: int) -> None:
    """A length beyond the limit (an HTTP or Redis client's first bytes, say) ends it at once."""
    with pytest.raises(WeRefuseError, match="does not speak"):
        frame_bytes(LENGTH.pack(size))


def test_handshake_out_of_turn_is_refused() -> None:
    """A WELCOME where a HELLO is due gets nobody in."""
    acceptor = accepting(party(2))
    next(acceptor)
    with pytest.raises(WeRefuseError, match="Welcome where Hello is due"):
        acceptor.send(WELCOME[4:])


def test_handshake_reasons_stay_one_line() -> None:
    """What an unproved peer gives as its reason can't break out of a log line, nor be endless."""
    dialer = dialing(party(1), Purpose.LINK)
    next(dialer)
    with pytest.raises(TheyRefuseError) as refused:
        dialer.send(WeRefuseError(Refusal("odd", "a\nb\x1b[2J" + "c" * 9000)).frame[4:])
    assert str(refused.value).startswith("a?b?[2Jcc")
    assert len(str(refused.value)) == handshake.REASON_CHARACTERS_MAX
