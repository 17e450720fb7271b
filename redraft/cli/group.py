"""`redraft group`: groups made, split, merged and dropped by hand, and where their replicas stand."""

from __future__ import annotations

import click
import trio
from rich.console import Console

from redraft.base.address import parse_address
from redraft.base.errors import ConfigError
from redraft.cli.at import at_option
from redraft.cli.change import ChangeRefusedError, follow, put
from redraft.cli.node import timeout_option, wait_option
from redraft.cli.report import GroupRow, MoveRow, Report, ask_report
from redraft.cli.slots import follow_move, known_move
from redraft.cli.status import ask_all
from redraft.cli.statusview import groups_table


@click.group()
def group() -> None:
    """List groups, make, split, merge and drop them, choose which nodes they stand on."""


nodes_option = click.option(
    "--on", default="", metavar="ID,ID,...", help="The new group's nodes, the preferred leader first."
)
follow_option = click.option("--wait/--no-wait", default=True, help="Show how far it is, until it has ended.")


@group.command(name="list")
@at_option
@timeout_option
def list_groups(at: str, timeout_s: float) -> None:
    """List the groups: slots, leader, keys, how far their followers are."""
    Console().print(groups_table(trio.run(ask_all, parse_address(at), timeout_s)))


@group.command()
@nodes_option
@at_option
@timeout_option
def create(on: str, at: str, timeout_s: float) -> None:
    """Make a group without slots; they can be moved to it, or come by and by."""
    words = ["CREATE-GROUP", *_named(on)]
    number = trio.run(put, parse_address(at), timeout_s, words)
    click.echo(f"group {number} is made")


@group.command()
@click.argument("group_id", type=click.IntRange(1), metavar="GROUP")
@click.option("--slots", "ranges", default="", metavar="SLOTS", help="Those to go; else half of them.")
@nodes_option
@at_option
@timeout_option
@follow_option
def split(group_id: int, ranges: str, on: str, at: str, timeout_s: float, wait: bool) -> None:
    """Move half of GROUP's slots, or those named, to a new group, while it goes on serving.

    \b
    redraft group split 2
    redraft group split 2 --slots 0-99 --on 3,4,5
    """
    address = parse_address(at)
    words = ["SPLIT-GROUP", str(group_id), *(("SLOTS", ranges) if ranges else ()), *_named(on)]
    number = trio.run(put, address, timeout_s, words)
    click.echo(f"group {number} is made, and is getting slots of group {group_id}")
    if wait:
        trio.run(follow_move, address, lambda report: _move_to(report, number))
        made = _found(trio.run(ask_report, address, timeout_s), number)
        if made is None or not made.slots:
            raise ChangeRefusedError(f"The move was cancelled: group {number} is there, without slots.")
        click.echo(f"group {number} has its slots")


@group.command()
@click.argument("group_id", type=click.IntRange(1), metavar="GROUP")
@click.option("--into", required=True, type=click.IntRange(1), metavar="GROUP", help="Who gets its slots.")
@at_option
@timeout_option
@follow_option
def merge(group_id: int, into: int, at: str, timeout_s: float, wait: bool) -> None:
    """Move all slots of GROUP to another group while both go on serving, then drop it.

    \b
    redraft group merge 3 --into 2
    """
    address = parse_address(at)
    number = trio.run(put, address, timeout_s, ["MERGE-GROUPS", str(group_id), str(into)])
    click.echo(f"move {number}: all slots of group {group_id} are going to group {into}")
    if wait:
        trio.run(follow_move, address, lambda report: known_move(report, number))
        left = _found(trio.run(ask_report, address, timeout_s), group_id)
        if left is not None and left.slots:
            raise ChangeRefusedError(f"Move {number} was cancelled: group {group_id} stays.")
        click.echo(f"group {group_id} has no slots any more, and goes in a moment")


@group.command()
@click.argument("group_id", type=click.IntRange(1), metavar="GROUP")
@at_option
@timeout_option
def drop(group_id: int, at: str, timeout_s: float) -> None:
    """Drop GROUP, which has no slots any more: its replicas go once no request can be on its way to it."""
    trio.run(put, parse_address(at), timeout_s, ["DROP-GROUP", str(group_id)])
    click.echo(f"group {group_id} goes in a moment")


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
    voters = _ids(to)
    address = parse_address(at)
    words = ["MOVE-GROUP", str(group_id), *voters]
    epoch = trio.run(put, address, timeout_s, [*words, "REPLACE"] if replace else words)
    click.echo(f"group {group_id} is moving to nodes {', '.join(voters)}")
    if wait:
        trio.run(follow, address, epoch, lambda report: _waiting_for(report, group_id))
        click.echo(f"group {group_id} stands on nodes {', '.join(voters)}")


def _ids(nodes: str) -> list[str]:
    ids = [each.strip() for each in nodes.split(",")]
    if not all(each.isdigit() for each in ids):
        raise ConfigError(f'"{nodes}" is no list of nodes: write their ids with commas, as in 1,2,4.')
    return ids


def _named(nodes: str) -> list[str]:
    return ["NODES", *_ids(nodes)] if nodes else []


def _found(report: Report, group_id: int) -> GroupRow | None:
    return next((each for each in report.groups if each.id == group_id), None)


def _move_to(report: Report, group_id: int) -> MoveRow | None:
    """The move that fills a new group, None once it has ended."""
    if _found(report, group_id) is None:
        return MoveRow(0)  # the node has not heard of it yet
    return next((each for each in report.moves if each.target == group_id), None)


def _waiting_for(report: Report, group_id: int) -> str:
    """What the move still waits for, nothing when it is done."""
    found = _found(report, group_id)
    if found is None or not found.moving:
        return ""
    return f"group {group_id} moving"
