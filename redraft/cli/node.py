"""`redraft node`: the nodes of a cluster, listed and taken out by hand."""

from __future__ import annotations

from functools import partial

import click
import trio
from rich.console import Console

from redraft.base.address import parse_address
from redraft.cli.at import at_option
from redraft.cli.change import follow, put
from redraft.cli.report import Report, ask_report
from redraft.cli.statusview import nodes_table

timeout_option = click.option("--timeout", "timeout_s", default=10.0, show_default=True, metavar="SECONDS")
wait_option = click.option("--wait/--no-wait", default=True, help="Wait until replicas have moved.")


@click.group()
def node() -> None:
    """List the cluster's nodes, or take one out.

    \b
    A node is added by starting it in an empty directory with --join:
    redraft server --listen 10.0.0.4:6379 --join 10.0.0.1:6379 --dir /var/lib/redraft
    """


@node.command(name="list")
@at_option
@timeout_option
def list_nodes(at: str, timeout_s: float) -> None:
    """List the nodes: address, state, what they lead and hold."""
    report = trio.run(ask_report, parse_address(at), timeout_s)
    Console().print(nodes_table(report))


@node.command()
@click.argument("node_id", type=click.IntRange(1), metavar="ID")
@at_option
@timeout_option
@wait_option
def remove(node_id: int, at: str, timeout_s: float, wait: bool) -> None:
    """Take node ID out of the cluster, whether it lives or not.

    Its replicas go to the least loaded of the other nodes; a living node serves until they have moved,
    and stops then. Its id is never used again, and its data directory is of no use any more.
    """
    address = parse_address(at)
    epoch = trio.run(put, address, timeout_s, ["REMOVE-NODE", str(node_id)])
    click.echo(f"node {node_id} is being removed")
    if wait:
        trio.run(
            partial(follow, address, epoch, lambda report: waiting_for_removal(report, node_id), goes=node_id)
        )
        click.echo(f"node {node_id} is no member any more")


def waiting_for_removal(report: Report, node_id: int) -> str:
    """What the removal of a node still waits for, nothing when it is done."""
    if not any(row.id == node_id for row in report.nodes):
        return ""
    moving = [group for group in report.groups if group.moving]
    if not moving:
        return "the topology group lets it go"
    return "group " + ", ".join(str(group.id) for group in moving) + " moving"
