"""News between reports: each change once, and nothing on the first look."""

from __future__ import annotations

from redraft.cli.news import News
from redraft.cli.report import GroupRow, NodeRow, Report


def report(leader: int, *, alive: bool = True, term: int = 1) -> Report:
    """Node 2 alive or not, group 1 led by `leader`."""
    return Report(nodes=[NodeRow(2, alive=alive)], groups=[GroupRow(1, leader=leader, term=term)])


def test_news_tells_each_change_once() -> None:
    """A lost node, a new leader and the node's return are told when they are first seen, not again."""
    news = News()
    assert news.of(report(2)) == []
    assert news.of(report(0, alive=False)) == ["Node 2 is out of reach"]
    assert news.of(report(0, alive=False)) == []
    assert news.of(report(3, alive=False, term=4)) == ["Group 1 is led by node 3 now (term 4)"]
    assert news.of(report(3, term=4)) == ["Node 2 is back"]


def test_news_is_silent_about_a_leader_that_is_found_again() -> None:
    """A group that was without a leader and has the same one again has no news."""
    news = News()
    assert [news.of(report(leader)) for leader in (2, 0, 2)] == [[], [], []]
