"""`redraft group`: where a group's replicas stand, chosen by hand."""

from __future__ import annotations

import click
import trio

from redraft.base.address import parse_address
from redraft.base.errors import ConfigError
from redraft.cli.at import at_option
from redraft.cli.change import follow, put
from redraft.cli.node import timeout_option, wait_option
from redraft.cli.report import Report


@click.group()
def group() -> None:
    """Choose which nodes a group stands on."""


@group.command()
@click.argument("group_id", type=click.IntRange(1), metavar="GROUP")
@click.option("--to", required=True, metavar="ID,ID,...", help="The nodes, the preferred leader first.")
@click.option("--replace", is_flag=True, help="Also while an earlier move is still under way.")
@at_option
@timeout_option
@wait_option
def move(group_id: int, to: str, replace: bool, at: str, timeout_s: float, wait: bool) -> None:
    """Put the replicas of GROUP on these nodes, while it goes on serving.

    New replicas are filled first and count for nothing until they have caught up; then all voters change
    in one step, so the group always has a majority it had before or will have after.

    \b
    redraft group move 2 --to 3,4,5
    """
    voters = [each.strip() for each in to.split(",")]
    if not all(each.isdigit() for each in voters):
        raise ConfigError(f'"{to}" is no list of nodes: write their ids with commas, as in --to 1,2,4.')
    address = parse_address(at)
    words = ["MOVE-GROUP", str(group_id), *voters]
    epoch = trio.run(put, address, timeout_s, [*words, "REPLACE"] if replace else words)
    click.echo(f"group {group_id} is moving to nodes {', '.join(voters)}")
    if wait:
        trio.run(follow, address, epoch, lambda report: _waiting_for(report, group_id))
        click.echo(f"group {group_id} stands on nodes {', '.join(voters)}")


def _waiting_for(report: Report, group_id: int) -> str:
    """What the move still waits for, nothing when it is done."""
    found = next((each for each in report.groups if each.id == group_id), None)
    if found is None or not found.moving:
        return ""
    return f"group {group_id} moving"
