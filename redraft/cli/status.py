"""`redraft status`: a cluster's nodes and groups, as tables or as JSON.

Asks one node, then the others it names, so that each group is shown as its leader sees it.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import click
import trio
from rich.console import Console

from redraft.base.address import Address, parse_address
from redraft.cli.at import at_option
from redraft.cli.report import NoAnswerError, Report, ask, ask_report, joined, read_report
from redraft.cli.statusview import draw

OTHERS_TIMEOUT_S = 1.0


@click.command()
@at_option
@click.option("--json", "as_json", is_flag=True, help="The asked node's own report, as JSON.")
@click.option("--timeout", "timeout_s", default=3.0, show_default=True, metavar="SECONDS")
def status(at: str, as_json: bool, timeout_s: float) -> None:
    """Show nodes, groups, leaders, terms, commit and applied indexes, and lag."""
    address = parse_address(at)
    try:
        reply = trio.run(ask, address, timeout_s)
    except NoAnswerError as error:
        hint = "Is it running? `redraft local` starts a cluster here, --at HOST:PORT asks another node."
        raise NoAnswerError(f"{error} {hint}") from None
    if as_json:
        sys.stdout.write(reply.decode() + "\n")
        return
    report = read_report(reply, address)
    others = trio.run(_ask_others, report)
    draw(joined(report, others), address, Console(soft_wrap=not sys.stdout.isatty()))


async def ask_all(address: Address, timeout_s: float) -> Report:
    """Ask a node, then the others it names; returns what they say together.  Raises NoAnswerError."""
    report = await ask_report(address, timeout_s)
    return joined(report, await _ask_others(report))


async def _ask_others(report: Report) -> list[Report]:
    answers: list[Report] = []

    async def one(address: Address) -> None:
        with suppress(NoAnswerError):  # the tables then show it as the asked node sees it
            answers.append(await ask_report(address, OTHERS_TIMEOUT_S))

    async with trio.open_nursery() as nursery:
        for row in report.nodes:
            if row.alive and row.id != report.node:
                nursery.start_soon(one, parse_address(row.address))
    return answers
