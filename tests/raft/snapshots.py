"""The driver's part in snapshots, in a world: make, send in pieces, receive, restore; and retire the removed.

Every step may be cut short by a crash, every message be lost, late or doubled.
"""

from __future__ import annotations

from functools import partial

from redraft.raft.messages import InstallSnapshot, InstallSnapshotReply, SnapshotMessage
from redraft.raft.progress import ProgressState
from tests.raft.disk import Snapshot
from tests.raft.world import Node, Sending, World

PIECES = 3
RESEND_MS = 300.0


class Snapshots(World):
    """A world whose logs are compacted."""

    def move_snapshots(self, node: Node) -> None:
        """What a node does in 20 ms: make one now and then, send to whoever needs one, retire."""
        if self.rng.random() < self.weather.snapshot:
            self.make_snapshot(node)
        for peer, progress in list(node.raft.progress.items()):
            if progress.state is ProgressState.SNAPSHOT and progress.reachable:
                self.send_snapshot(node, peer, progress.snapshot_index)
            else:
                node.sending.pop(peer, None)
        if self.rng.random() < self.weather.retire:
            self.consider_retiring(node)

    # ---- made here ----

    def make_snapshot(self, node: Node) -> None:
        """Take one as of what is applied now; it is durable a little later."""
        raft, index = node.raft, node.applied_index
        if raft.is_blank or index < raft.log.first_index:
            return
        snapshot = Snapshot(index, raft.log.term(index), raft.configuration_at(index), node.state)
        self.checks.snapshot(snapshot)
        lives = node.lives

        def done() -> None:
            if self.nodes.get(node.number) is not node or node.lives != lives:
                return
            node.disk.keep(snapshot)
            tail = self.rng.randint(0, 5)
            log = raft.log
            if snapshot.index - tail >= log.first_index:
                log.compact(snapshot.index - tail)

        self.at(self.rng.uniform(1, 100), node.number, done)

    # ---- sent ----

    def send_snapshot(self, node: Node, peer: int, least_index: int) -> None:
        """Begin to send the newest, or say once more what got no answer."""
        sending = node.sending.get(peer)
        if sending is None:
            snapshot = node.disk.snapshot
            if snapshot is None or snapshot.index < least_index:
                if node.applied_index >= least_index:
                    self.make_snapshot(node)
                return
            sending = node.sending[peer] = Sending(snapshot, 0, -RESEND_MS)
        if self.rng.random() < self.weather.fail_snapshot:
            del node.sending[peer]
            node.raft.snapshot_finished(peer, 0)
            self.carry_out(node)
        elif self.now - sending.asked_ms >= RESEND_MS:
            self.send_piece(node, peer, sending)

    def send_piece(self, node: Node, peer: int, sending: Sending) -> None:
        sending.asked_ms = self.now
        index, term, _, _ = sending.snapshot
        message = InstallSnapshot(node.raft.term, index, term, PIECES, sending.offset, b"s")
        self.post_raft(node.number, peer, message)

    def on_link_news(self, node: Node, peer: int) -> None:
        node.sending.pop(peer, None)

    def on_snapshot(self, node: Node, sender: int, message: SnapshotMessage) -> None:
        if isinstance(message, InstallSnapshotReply):
            self.on_snapshot_reply(node, sender, message)
        elif node.raft.on_install_snapshot(sender, message, self.clock(node.number)):
            self.on_piece(node, sender, message)

    def on_snapshot_reply(self, node: Node, sender: int, message: InstallSnapshotReply) -> None:
        sending = node.sending.get(sender)
        if not node.raft.on_install_snapshot_reply(sender, message, self.clock(node.number)):
            node.sending.pop(sender, None)
        elif sending is not None and message.index == sending.snapshot.index:
            if message.done:
                del node.sending[sender]
                node.raft.snapshot_finished(sender, message.index)
            elif message.offset != sending.offset:
                sending.offset = message.offset
                self.send_piece(node, sender, sending)

    # ---- received ----

    def on_piece(self, node: Node, sender: int, message: InstallSnapshot) -> None:
        """Take pieces in order; the last one may take a while to become durable with all before."""
        term, index, snapshot_term, size, offset, _ = message
        known = max(each for each in self.checks.configurations if each[0] <= index)[1]
        snapshot = Snapshot(index, snapshot_term, known, self.checks.states[index])
        self.checks.snapshot(snapshot)
        arrived = 0
        if node.arriving is not None and node.arriving[:2] == (snapshot, sender):
            arrived = node.arriving[2]
        if arrived == size:
            return  # it is being stored
        if offset == arrived:
            arrived += 1
        node.arriving = (snapshot, sender, arrived)
        if arrived == size:
            delay = self.rng.uniform(1, 100)
            self.at(delay, node.number, partial(self.stored, node, sender, snapshot, term))
        else:
            reply = InstallSnapshotReply(term, index, snapshot_term, arrived, False)
            self.post_raft(node.number, sender, reply)

    def stored(self, node: Node, sender: int, snapshot: Snapshot, term: int) -> None:
        """A received snapshot is whole and durable."""
        if self.nodes.get(node.number) is not node:
            return
        node.arriving = None
        node.disk.keep(snapshot)
        if self.rng.random() < self.weather.crash * 10:
            self.crash(node.number)
            return
        index, snapshot_term, configuration, state = snapshot
        if node.raft.restore(index, snapshot_term, configuration):
            node.applied_index, node.state = index, state
            reply = InstallSnapshotReply(term, index, snapshot_term, PIECES, True)
            self.post_raft(node.number, sender, reply)
        else:
            node.disk.forget_retired()
        self.carry_out(node)

    # ---- those who were removed ----

    def consider_retiring(self, node: Node) -> None:
        """Retire if it knows that it is out; or ask whether it is, and act on the answer some time later."""
        raft, checks = node.raft, self.checks
        if raft.is_blank:
            return
        if raft.is_removed:
            self.retire(node, 0, 0)
        elif checks.chosen and node.number not in checks.configuration.nodes:
            last = checks.chosen[-1]
            delay = self.rng.choice([0.0, 50.0, 1000.0])
            self.at(delay, node.number, partial(self.retire, node, last.index, last.term))

    def retire(self, node: Node, index: int, term: int) -> None:
        if self.nodes.get(node.number) is node and not node.raft.is_blank and node.raft.retire(index, term):
            node.lives += 1
            node.applied_index = node.state = 0
            self.carry_out(node)
