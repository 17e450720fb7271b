"""`redraft controller` and `redraft node drain`: what is drawn, and what is waited for."""

from __future__ import annotations

import io

from rich.console import Console

from redraft.cli.controllerview import ControllerReport, DecisionRow, draw_controller, why_not_drained
from redraft.cli.node import waiting_for_drain
from redraft.cli.report import GroupRow, Report

PLANNED = DecisionRow("replicas", "Place", "group 3: node 1 has 4 replicas and node 2 has 2: one goes over")
MADE = DecisionRow("restore", "Place", "group 1: node 5 has been dead for 300 s", "done", 1_700_000_000_000.0)


def drawn(report: ControllerReport) -> str:
    """What is printed of a report."""
    screen = io.StringIO()
    draw_controller(report, Console(file=screen, width=140))
    return screen.getvalue()


def test_controller_draws_what_is_done_put_off_and_was_done() -> None:
    """Each with its reason."""
    text = drawn(
        ControllerReport(
            1, 1, decides=True, off=["slots"], plan=[PLANNED], held=["it waits"], decisions=[MADE]
        )
    )
    assert "controller on, but for slots, node 1 decides" in text
    assert PLANNED.reason in text
    assert "put off: it waits" in text
    assert MADE.reason in text
    assert "done" in text


def test_controller_says_when_there_is_nothing_to_do_or_nobody_to_do_it() -> None:
    """An idle one, one that is switched off, and a node that knows of none."""
    assert "there is nothing to do" in drawn(ControllerReport(1, 1, decides=True))
    assert "switched off" in drawn(ControllerReport(1, 1, decides=True, on=False))
    assert "nobody is known to" in drawn(ControllerReport(2, 0))


def test_drain_says_when_nothing_will_come_of_it() -> None:
    """Waiting would be in vain."""
    assert not why_not_drained(ControllerReport(1, 1, decides=True))
    assert "CONFIG SET controller yes" in why_not_drained(ControllerReport(1, 1, decides=True, on=False))
    assert "controller-off" in why_not_drained(ControllerReport(1, 1, decides=True, off=["drain"]))


def test_drain_waits_until_nothing_is_held_and_nothing_moves() -> None:
    """It counts what is left."""
    one, two = GroupRow(1, voters=[1, 2], moving=True), GroupRow(2, voters=[2, 3])
    assert waiting_for_drain(Report(groups=[one, two]), 1) == "1 replica left on node 1, group 1 moving"
    assert waiting_for_drain(Report(groups=[one, two]), 2).startswith("2 replicas left on node 2")
    assert not waiting_for_drain(Report(groups=[two]), 1)
