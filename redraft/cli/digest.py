"""`redraft digest`: whether all replicas of each group hold the same, by digests of the same moment."""

from __future__ import annotations

import sys
from contextlib import suppress

import click
import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from redraft.base.address import Address, parse_address
from redraft.base.errors import RedraftError
from redraft.cli.at import at_option
from redraft.cli.report import NoAnswerError, Report, ask_anything, ask_report

REQUEST = b"*2\r\n$7\r\nREDRAFT\r\n$6\r\nDIGEST\r\n"
POLL_S = 0.2
NODE_TIMEOUT_S = 3.0
BUSY = "busy"

Found = dict[int, dict[int, str]]
"""By group and node: the digest, "busy", or "" while there is none yet."""


class DigestError(RedraftError):
    """The digests could not be had."""


@click.command()
@at_option
@click.option("--timeout", "timeout_s", default=300.0, show_default=True, metavar="SECONDS")
def digest(at: str, timeout_s: float) -> None:
    """Compare all replicas of each group: exits 1 if any differ.

    Each group's log gets an entry that asks for it, so all replicas are looked at as of the same moment,
    while they go on serving.
    """
    address = parse_address(at)
    try:
        wanted, found = trio.run(_digests, address, timeout_s)
    except trio.TooSlowError:
        raise DigestError(
            f"Not every replica has made its digest within {timeout_s:g} s; --timeout waits longer."
        ) from None
    table = Table("group", "entry", "nodes", "digest", box=SIMPLE_HEAD)
    equal = True
    for group, index in wanted.items():
        by_digest: dict[str, list[int]] = {}
        for node, made in sorted(found[group].items()):
            by_digest.setdefault(made, []).append(node)
        equal = equal and len(by_digest) == 1
        for made, nodes in by_digest.items():
            table.add_row(str(group), str(index), ", ".join(map(str, nodes)), made)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
    if not equal:
        raise DigestError(
            "Replicas of a group differ, and nothing tells which is right: keep the data directories, and"
            " rebuild the one that stands alone (`redraft rebuild`)."
        )
    click.echo("All replicas of each group hold the same.")


async def _digests(address: Address, timeout_s: float) -> tuple[dict[int, int], Found]:
    with trio.fail_after(timeout_s):
        while True:
            wanted = await _ask(address)
            found = await _gather(address, wanted)
            if not any(made == BUSY for nodes in found.values() for made in nodes.values()):
                return wanted, found
            await trio.sleep(POLL_S)


async def _ask(address: Address) -> dict[int, int]:
    """Ask for digests; return the entry of each group that asks for them."""
    reply = await ask_anything(address, NODE_TIMEOUT_S, REQUEST)
    if isinstance(reply, Exception):
        raise DigestError(f"The node at {address.client} says: {reply}")
    if not isinstance(reply, list):
        raise NoAnswerError(f"What answers at {address.client} is no redraft node.")
    return dict(reply)


async def _gather(address: Address, wanted: dict[int, int]) -> Found:
    """Wait until every voter of each group has its digest, or is busy."""
    while True:
        first = await ask_report(address, NODE_TIMEOUT_S)
        reports = [first]
        for row in first.nodes:
            if row.id != first.node:
                with suppress(NoAnswerError):
                    reports.append(await ask_report(parse_address(row.address), NODE_TIMEOUT_S))
        found = _found(reports, wanted)
        if all(made for nodes in found.values() for made in nodes.values()):
            return found
        await trio.sleep(POLL_S)


def _found(reports: list[Report], wanted: dict[int, int]) -> Found:
    found: Found = {}
    for group in reports[0].groups:
        if group.id in wanted:
            found[group.id] = dict.fromkeys(group.voters, "")
    for report in reports:
        for row in report.groups:
            mine = found.get(row.id, {})
            if report.node in mine and row.digest_index == wanted.get(row.id):
                mine[report.node] = row.digest
    return found
