"""`redraft slots`: slots moved from one group to another by hand, with a look at how far they are."""

from __future__ import annotations

from collections.abc import Callable

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from redraft.base.address import Address, parse_address
from redraft.base.errors import ConfigError
from redraft.cli.at import at_option
from redraft.cli.change import ChangeRefusedError, put
from redraft.cli.node import timeout_option
from redraft.cli.report import MoveRow, NoAnswerError, Report, ask_report
from redraft.cli.status import ask_all
from redraft.cli.statusview import moves_table

LOOK_S = 0.25
SILENT_S = 15.0
"""How long no node may answer before a move that is followed is left to itself."""


@click.group()
def slots() -> None:
    """Move slots between groups, and see which are on their way."""


@slots.command()
@click.argument("ranges", metavar="SLOTS")
@click.option("--to", required=True, type=click.IntRange(1), metavar="GROUP", help="The group to own them.")
@at_option
@timeout_option
@click.option("--wait/--no-wait", default=True, help="Show how far it is, until it has ended.")
def move(ranges: str, to: int, at: str, timeout_s: float, wait: bool) -> None:
    """Give SLOTS, and the keys in them, to another group, while both go on serving.

    The keys are copied first; then writes to these slots wait for some milliseconds while the last
    of them follow. It goes on when nodes fail on the way, and can be cancelled until that moment.

    \b
    redraft slots move 0-99,200 --to 2
    """
    address = parse_address(at)
    number = trio.run(put, address, timeout_s, ["MOVE-SLOTS", ranges, str(to)])
    click.echo(f"move {number}: slots {ranges} are going to group {to}")
    if wait:
        trio.run(follow_move, address, lambda report: known_move(report, number))
        report = trio.run(ask_report, address, timeout_s)
        if _owner(report, ranges) != to:
            raise ChangeRefusedError(f"Move {number} was cancelled: the slots stay where they were.")
        click.echo(f"slots {ranges} are group {to}'s")


@slots.command()
@click.argument("move_id", type=click.IntRange(1), metavar="MOVE")
@at_option
@timeout_option
def cancel(move_id: int, at: str, timeout_s: float) -> None:
    """Give a move up: its slots stay where they are, unless they have been handed over already."""
    trio.run(put, parse_address(at), timeout_s, ["CANCEL-MOVE", str(move_id)])
    click.echo(f"move {move_id} is given up")


@slots.command(name="list")
@at_option
@timeout_option
def list_moves(at: str, timeout_s: float) -> None:
    """List the moves under way: how far they are, how fast, how long they will take."""
    report = trio.run(ask_all, parse_address(at), timeout_s)
    Console().print(moves_table(report) if report.moves else "no slots are on their way")


def known_move(report: Report, move_id: int) -> MoveRow | None:
    """A move in a report, None once it has ended; a node that has not heard of it yet says so, too."""
    row = next((each for each in report.moves if each.id == move_id), None)
    heard = (
        report.epoch >= move_id or report.next_move > move_id
    )  # several begun by one entry are ahead of it
    return row or (None if heard else MoveRow(move_id))


async def follow_move(address: Address, find: Callable[[Report], MoveRow | None]) -> None:
    """Draw how far a move is until it is none any more."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
    )
    heard_s = trio.current_time()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("moving", total=None, what="")
        while True:
            try:
                report = await ask_all(address, SILENT_S)
            except NoAnswerError:
                if trio.current_time() - heard_s > SILENT_S:
                    raise
            else:
                heard_s = trio.current_time()
                row = find(report)
                if row is None:
                    return
                progress.update(
                    task, total=row.keys_to_do or None, completed=row.keys, what=_what(row),
                    description=row.phase or "moving",
                )  # fmt: skip
            await trio.sleep(LOOK_S)


def _what(row: MoveRow) -> str:
    remaining = f", {row.remaining_s:.0f} s to go" if row.remaining_s is not None else ""
    return f"{row.keys:,} of {row.keys_to_do:,} keys, {row.bytes_per_s / 1e6:.1f} MB/s{remaining}"


def _owner(report: Report, ranges: str) -> int:
    """The group of the first of these slots."""
    try:
        slot = int(ranges.replace("-", ",").partition(",")[0])
    except ValueError:
        raise ConfigError(f'"{ranges}" is no list of slots: write 0-99,200.') from None
    for group in report.groups:
        if any(low <= slot <= high for low, high in group.slots):
            return group.id
    return 0
