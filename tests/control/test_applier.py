"""The topology in a group's log: executed once, answered in RESP, and whole in a snapshot."""

from __future__ import annotations

import pytest

from redraft.control.applier import TopologyApplier, encode_request, reason_of, topology_of
from redraft.control.topology import Command, Place, Remove, Topology
from redraft.raft.types import Entry, EntryKind
from redraft.replica.apply import Answer
from redraft.replica.part import encode_part, encode_payload, mark
from redraft.replica.snapshotting import Loading, Making
from redraft.snapshot.format import Decoder
from tests.control.clusters import founded, join
from tests.raft.memory_log import MemoryLog


class Machine:
    """An applier, its log, and one origin that sends parts."""

    def __init__(self, founding: Topology) -> None:
        self.log = MemoryLog()
        self.applier = TopologyApplier(founding, self.log)
        self.sequence = 0

    def part(self, *commands: Command) -> bytes:
        self.sequence += 1
        data = b"".join(map(encode_request, commands))
        return encode_part(1, 1, self.sequence, 1, True, [mark(len(commands), 2)], [data])

    def log_entry(self, *parts: bytes) -> list[Answer]:
        index = self.log.last_index + 1
        self.log.append([Entry(1, index, EntryKind.PARTS, encode_payload(index, 0, False, parts))])
        return self.applier.apply_slice(index, 1 << 20)

    def do(self, *commands: Command) -> list[bytes]:
        (answer,) = self.log_entry(self.part(*commands))
        return answer.replies


def test_applier_answers_with_what_was_asked_for() -> None:
    """A new member is told the topology it is in, others the epoch, or a sentence."""
    machine = Machine(founded())
    (joined,) = machine.do(join(11))
    assert reason_of(joined) is None
    assert topology_of(joined) == machine.applier.topology
    assert topology_of(joined).epoch == 1, "the entry's index"
    assert machine.do(Place(1, (1, 2, 4))) == [b":2\r\n"]
    refused, removed = machine.do(Place(1, (9,)), Remove(4))
    assert reason_of(refused) == "There is no node 9: the members are 1, 2, 3, 4."
    assert removed == b":3\r\n"


def test_applier_executes_a_part_once() -> None:
    """A part that comes again is answered as before: no second id is given."""
    machine = Machine(founded())
    part = machine.part(join(11))
    (first,) = machine.log_entry(part)
    (again,) = machine.log_entry(part)
    assert first.replies == again.replies
    assert machine.applier.topology.next_node_id == 5


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x81\xa4type\xa3fly"])
def test_applier_answers_noise(data: bytes) -> None:
    """A command of a newer version, or garbage, is an error for who sent it, on every replica alike."""
    machine = Machine(founded())
    framed = len(data).to_bytes(4, "little") + data
    part = encode_part(1, 1, 1, 1, True, [mark(1, 2)], [framed])
    (answer,) = machine.log_entry(part)
    assert "is no command on the topology" in str(reason_of(answer.replies[0]))
    assert machine.applier.topology == founded()


def test_applier_is_whole_in_a_snapshot() -> None:
    """Loaded from a snapshot, the topology and the sessions are those of the node that made it."""
    machine = Machine(founded())
    part = machine.part(join(11))
    machine.log_entry(part)
    making = Making(machine.applier, 0, 1, b"")
    machine.do(Remove(4))
    loading = Loading(TopologyApplier(founded(), machine.log))
    decoder = Decoder()
    while not making.finished:
        for block in making.step(100, 1 << 20):
            for item in decoder.feed(block):
                loading.take(item)
    loaded = loading.applier
    assert isinstance(loaded, TopologyApplier)
    assert loaded.applied_index == 1
    assert [node.leaving for node in loaded.topology.nodes] == [False] * 4
    loaded.apply_slice(2, 1 << 20)
    assert loaded.topology == machine.applier.topology
