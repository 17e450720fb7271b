"""A node's answer to REDRAFT CONTROLLER: its shape, how to ask whoever decides, and how it is drawn.

Fields that an older or newer node leaves out have defaults.
"""

from __future__ import annotations

import time

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraft.base.address import Address, parse_address
from redraft.cli.report import NoAnswerError, ask, ask_report

REQUEST = b"*2\r\n$7\r\nREDRAFT\r\n$10\r\nCONTROLLER\r\n"
SHOWN_MAX = 20
"""Decisions that are drawn: the last ones."""


class DecisionRow(msgspec.Struct):
    """Something that is to be done, or was; `outcome` is empty for what is only planned."""

    kind: str = ""
    action: str = ""
    reason: str = ""
    outcome: str = ""
    wall_ms: float = 0.0


class ControllerReport(msgspec.Struct):
    """The controller as one node knows it; only who `decides` knows plans."""

    node: int = 0
    leader: int = 0
    decides: bool = False
    on: bool = True
    off: list[str] = []
    plan: list[DecisionRow] = []
    held: list[str] = []
    decisions: list[DecisionRow] = []
    thresholds: dict[str, object] = {}


async def ask_controller(address: Address, timeout_s: float) -> ControllerReport:
    """Ask the node at an address, and then the one that decides; raises NoAnswerError."""
    report = _read(await ask(address, timeout_s, REQUEST), address)
    if report.decides or not report.leader:
        return report
    nodes = (await ask_report(address, timeout_s)).nodes
    there = next((parse_address(row.address) for row in nodes if row.id == report.leader), None)
    return _read(await ask(there, timeout_s, REQUEST), there) if there is not None else report


def _read(reply: bytes, address: Address) -> ControllerReport:
    try:
        return msgspec.json.decode(reply, type=ControllerReport)
    except msgspec.MsgspecError as error:
        raise NoAnswerError(f"What {address.client} says can't be read ({error}).") from None


def why_not_drained(report: ControllerReport) -> str:
    """Why nothing will be done about a node that is drained; "" when something will."""
    if not report.on:
        return (
            f"The controller is switched off on node {report.node}, which decides: CONFIG SET controller yes."
        )
    if "drain" in report.off:
        return (
            f"Draining is switched off on node {report.node}, which decides: see CONFIG GET controller-off."
        )
    return ""


def draw_controller(report: ControllerReport, console: Console) -> None:
    """Print what there is to know of the controller."""
    console.print(_head(report))
    if report.plan:
        console.print(Text("\nto do now", style="bold"), _table(report.plan, dated=False), sep="\n")
    for sentence in report.held:
        console.print(Text(f"put off: {sentence}", style="yellow"))
    if report.decisions:
        console.print(
            Text("\ndone lately", style="bold"), _table(report.decisions[-SHOWN_MAX:], dated=True), sep="\n"
        )


def _head(report: ControllerReport) -> Text:
    if not report.decides:
        return Text(f"node {report.node} does not decide; nobody is known to", style="yellow")
    off = f", but for {', '.join(report.off)}" if report.off else ""
    state = ("on" + off, "green") if report.on else ("switched off", "yellow")
    idle = "" if report.plan or report.held else "; there is nothing to do"
    return Text.assemble("controller ", state, f", node {report.node} decides{idle}")


def _table(rows: list[DecisionRow], *, dated: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        when = time.strftime("%H:%M:%S", time.localtime(row.wall_ms / 1000))
        outcome = Text(row.outcome, style="dim" if row.outcome in ("done", "asked") else "yellow")
        table.add_row(*([Text(when, style="dim")] if dated else []), row.kind, row.reason, outcome)
    return table
