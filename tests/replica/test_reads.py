"""ReadIndex batches: fresh askings, nothing readable early, nothing lost when leadership ends."""

from __future__ import annotations

from redraft.replica.origin import CLUSTERDOWN
from redraft.replica.reads import Reader
from redraft.replica.request import Request


class Asked(Request):
    """A read that keeps its replies."""

    __slots__ = ("replies",)

    def __init__(self) -> None:
        super().__init__(1, b"r", 1, 2, write=False)
        self.replies: list[bytes] | None = None

    def complete(self, replies: list[bytes]) -> None:
        assert self.replies is None, "a request is answered once"
        self.replies = replies


def test_reader_waits_for_the_read_index_to_be_applied() -> None:
    """A confirmed read is executed only when last_applied has reached its index (thesis §6.4)."""
    reader = Reader(asked_max=2)
    reader.pending.append(Asked())
    reader.ask(1, 10, 0, 0.0)
    assert reader.readable(100) is None, "not confirmed yet"
    reader.confirmed(1)
    assert reader.readable(9) is None
    assert reader.readable(10) is not None


def test_reader_confirms_only_rounds_opened_for_a_batch_or_later() -> None:
    """An older round was sent before the read came: it proves nothing about now."""
    reader = Reader(asked_max=2)
    reader.pending.append(Asked())
    reader.ask(5, 10, 0, 0.0)
    reader.confirmed(4)
    assert reader.readable(100) is None


def test_reader_collects_while_its_askings_are_out() -> None:
    """No more than the limit of askings at once; what comes meanwhile is one batch."""
    reader = Reader(asked_max=1)
    reader.pending.append(Asked())
    reader.ask(1, 1, 0, 0.0)
    reader.pending.extend([Asked(), Asked()])
    assert not reader.may_ask
    reader.confirmed(1)
    assert reader.may_ask
    assert len(reader.ask(2, 1, 0, 0.0).requests) == 2


def test_reader_asks_again_after_a_change_of_leader() -> None:
    """An answer to an asking of the old leadership is ignored, its reads are asked anew and in order."""
    reader = Reader(asked_max=2)
    old, new = Asked(), Asked()
    reader.pending.append(old)
    reader.ask(1, 0, 0, 0.0)
    reader.pending.append(new)
    reader.reset()
    assert reader.pending == [old, new]
    reader.answered(1, 7, 0)
    assert reader.readable(100) is None


def test_reader_tells_followers_the_index_noted_when_they_asked() -> None:
    """A follower's asking rides in the leader's batch and gets its index and clock."""
    reader = Reader(asked_max=2)
    reader.remotes.append((3, 44))
    reader.ask(1, 12, 99, 0.0)
    assert reader.confirmed(1) == [(3, 44, 12, 99)]


def test_reader_answers_clusterdown_when_no_leader_confirms_in_time() -> None:
    """A read that waited too long had no effect and is safe to retry, wherever it waited."""
    reader = Reader(asked_max=2)
    asked, ready, pending = Asked(), Asked(), Asked()
    reader.pending.append(ready)
    reader.ask(1, 50, 0, 0.0)
    reader.confirmed(1)
    reader.pending.append(asked)
    reader.ask(2, 50, 0, 0.0)
    reader.pending.append(pending)
    reader.expire(5000, 4000)
    assert [request.replies for request in (asked, ready, pending)] == [[CLUSTERDOWN]] * 3


def test_reader_forgets_a_batch_all_of_whose_reads_were_refused() -> None:
    """When its index is applied at last, there is nothing left to execute."""
    reader = Reader(asked_max=2)
    reader.pending.append(Asked())
    reader.ask(1, 0, 0, 0.0)
    reader.answered(1, 50, 0)
    reader.pending.append(Asked())
    reader.ask(2, 0, 0, 0.0)
    reader.expire(5000, 4000)
    reader.answered(2, 50, 0)
    assert reader.readable(100) is None
