"""`redraft node` and `redraft group`: what they ask for, what they wait for, and how they say no."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import trio

from redraft.cli import change
from redraft.cli.main import run

Answer = dict[str, Any] | bytes | None


class Node:
    """Answers REDRAFT STATUS with its reports in turn (None: it is gone), and other words with `reply`."""

    def __init__(self, reply: bytes, reports: list[Answer]) -> None:
        self.reply = reply
        self.reports = reports
        self.asked: list[bytes] = []
        self.port = 0
        self.ready = threading.Event()
        self.token: trio.lowlevel.TrioToken
        self.scope = trio.CancelScope()

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            words = bytes(await stream.receive_some()).split(b"\r\n")[2::2]
            if words[1:] != [b"STATUS"]:
                self.asked.append(b" ".join(words))
                await stream.send_all(self.reply)
                return
            report = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
            if report is not None:
                text = json.dumps(report).encode()
                await stream.send_all(b"$%d\r\n%s\r\n" % (len(text), text))

    async def run(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        with self.scope:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listener.socket.getsockname()[1]
            self.ready.set()
            await trio.serve_listeners(self.serve, [listener])


@contextmanager
def answering(reply: bytes, *reports: Answer) -> Iterator[Node]:
    """Run a node in a thread."""
    node = Node(reply, list(reports) or [None])
    thread = threading.Thread(target=partial(trio.run, node.run))
    thread.start()
    assert node.ready.wait(20)
    try:
        yield node
    finally:
        node.token.run_sync_soon(node.scope.cancel)
        thread.join()


def report(*node_ids: int, moving: bool = False, asked: int = 1, epoch: int = 7) -> dict[str, Any]:
    """What a node would say."""
    return {
        "epoch": epoch,
        "node": asked,
        "nodes": [{"id": each, "address": f"127.0.0.1:{7000 + each}", "alive": True} for each in node_ids],
        "groups": [{"id": 1, "moving": moving, "leader": 1}],
    }


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "LOOK_S", 0.001)


def test_node_remove_waits_until_the_node_is_no_member(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it waits for, and when it is done."""
    moving = report(1, 2, 3, moving=True)
    with answering(b":7\r\n", moving, moving, report(1, 2, 3), report(1, 2)) as node:
        assert run(["node", "remove", "3", "--at", f"127.0.0.1:{node.port}"]) == 0
        assert node.asked == [b"REDRAFT REMOVE-NODE 3"]
    said = capsys.readouterr()
    assert said.out == "node 3 is being removed\nnode 3 is no member any more\n"
    assert said.err == "waiting: group 1 moving\nwaiting: the topology group lets it go\n"


def test_node_remove_of_the_node_that_is_asked_ends_with_it() -> None:
    """A node that stops because it was removed answers no more."""
    with answering(b":7\r\n", report(1, 2, 3, asked=3), None) as node:
        assert run(["node", "remove", "3", "--at", f"127.0.0.1:{node.port}"]) == 0


def test_node_remove_of_a_node_whose_neighbour_falls_silent_is_no_success(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then what became of it."""
    monkeypatch.setattr(change, "SILENT_S", 0.01)
    with answering(b":7\r\n", report(1, 2, 3), None) as node:
        assert run(["node", "remove", "3", "--at", f"127.0.0.1:{node.port}"]) == 1
    assert "No node answers" in capsys.readouterr().err


def test_changes_are_followed_once_the_node_has_heard_of_them() -> None:
    """A node whose topology is older than the change knows nothing of what moves."""
    with answering(b":7\r\n", report(1, epoch=6), report(1, moving=True), report(1)) as node:
        assert run(["group", "move", "1", "--to", "3,1,2", "--at", f"127.0.0.1:{node.port}"]) == 0
        assert len(node.reports) == 1


def test_changes_that_are_refused_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The cluster's sentence, and exit code 1."""
    with answering(b"-ERR There is no node 9: the members are 1, 2, 3.\r\n") as node:
        assert run(["node", "remove", "9", "--at", f"127.0.0.1:{node.port}"]) == 1
    assert capsys.readouterr().err == "redraft: There is no node 9: the members are 1, 2, 3.\n"


def test_group_move_names_the_nodes_in_order() -> None:
    """The preferred leader comes first; with --replace a move under way is replaced."""
    with answering(b":7\r\n", report(1, moving=True), report(1)) as node:
        at = ["--at", f"127.0.0.1:{node.port}"]
        assert run(["group", "move", "1", "--to", "3, 1,2", *at]) == 0
        assert run(["group", "move", "1", "--to", "3", "--replace", "--no-wait", *at]) == 0
        assert node.asked == [b"REDRAFT MOVE-GROUP 1 3 1 2", b"REDRAFT MOVE-GROUP 1 3 REPLACE"]
        assert run(["group", "move", "1", "--to", "3,x", *at]) == 1


def test_node_list_shows_members(capsys: pytest.CaptureFixture[str]) -> None:
    """One row a node."""
    with answering(b"", report(1, 2)) as node:
        assert run(["node", "list", "--at", f"127.0.0.1:{node.port}"]) == 0
    shown = capsys.readouterr().out
    assert "127.0.0.1:7001" in shown
    assert "127.0.0.1:7002" in shown


def grouped(*, slots: dict[int, list[list[int]]], moves: list[dict[str, int]], epoch: int = 7) -> Answer:
    """What a node would say of groups and moves."""
    groups = [{"id": number, "slots": owned} for number, owned in slots.items()]
    return {"epoch": epoch, "node": 1, "nodes": [], "groups": groups, "moves": moves}


def test_group_split_waits_until_the_new_group_has_its_slots(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when the node that is asked has not heard of it yet."""
    before = grouped(slots={1: [[0, 9]]}, moves=[], epoch=6)
    moving = grouped(slots={1: [[0, 9]], 4: []}, moves=[{"id": 7, "source": 1, "target": 4}])
    after = grouped(slots={1: [[0, 4]], 4: [[5, 9]]}, moves=[])
    with answering(b":4\r\n", before, moving, after) as node:
        at = ["--at", f"127.0.0.1:{node.port}"]
        assert run(["group", "split", "1", "--slots", "5-9", "--on", "3,1", *at]) == 0
        assert node.asked == [b"REDRAFT SPLIT-GROUP 1 SLOTS 5-9 NODES 3 1"]
    said = capsys.readouterr().out
    assert said == "group 4 is made, and is getting slots of group 1\ngroup 4 has its slots\n"


def test_group_split_that_is_cancelled_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b":4\r\n", grouped(slots={1: [[0, 9]], 4: []}, moves=[])) as node:
        assert run(["group", "split", "1", "--at", f"127.0.0.1:{node.port}"]) == 1
    assert "without slots" in capsys.readouterr().err


def test_group_merge_waits_until_the_slots_have_gone(capsys: pytest.CaptureFixture[str]) -> None:
    before = grouped(slots={1: [[0, 9]], 2: [[10, 19]]}, moves=[], epoch=6)
    after = grouped(slots={1: [[0, 19]], 2: []}, moves=[])
    with answering(b":7\r\n", before, after) as node:
        assert run(["group", "merge", "2", "--into", "1", "--at", f"127.0.0.1:{node.port}"]) == 0
        assert node.asked == [b"REDRAFT MERGE-GROUPS 2 1"]
    assert "group 2 has no slots any more" in capsys.readouterr().out
    ahead = {
        "epoch": 5,
        "groups": [{"id": 1, "slots": [[0, 9]]}, {"id": 2, "slots": [[10, 19]]}],
        "next_move": 7,
    }
    with answering(b":6\r\n", ahead) as node:
        assert run(["group", "merge", "2", "--into", "1", "--at", f"127.0.0.1:{node.port}"]) == 1
    assert "was cancelled" in capsys.readouterr().err


def test_groups_are_made_dropped_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b":4\r\n", grouped(slots={1: [[0, 9]], 4: []}, moves=[])) as node:
        at = ["--at", f"127.0.0.1:{node.port}"]
        assert run(["group", "create", "--on", "2,3", *at]) == 0
        assert run(["group", "drop", "4", *at]) == 0
        assert run(["group", "list", *at]) == 0
        assert node.asked == [b"REDRAFT CREATE-GROUP NODES 2 3", b"REDRAFT DROP-GROUP 4"]
    said = capsys.readouterr().out
    assert said.startswith("group 4 is made\ngroup 4 goes in a moment\n")
    assert "0-9" in said
