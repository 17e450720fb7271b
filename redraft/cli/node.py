"""`redraft node`: the nodes of a cluster, listed and taken out by hand."""

from __future__ import annotations

from functools import partial

import click
import trio
from rich.console import Console

from redraft.base.address import parse_address
from redraft.cli.at import at_option
from redraft.cli.change import follow, put
from redraft.cli.controllerview import ask_controller, why_not_drained
from redraft.cli.report import Report, ask_report
from redraft.cli.statusview import nodes_table

timeout_option = click.option("--timeout", "timeout_s", default=10.0, show_default=True, metavar="SECONDS")
wait_option = click.option("--wait/--no-wait", default=True, help="Wait until replicas have moved.")


@click.group()
def node() -> None:
    """List the cluster's nodes, empty one, or take one out.

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


@node.command()
@click.argument("node_id", type=click.IntRange(1), metavar="ID")
@at_option
@timeout_option
@wait_option
def drain(node_id: int, at: str, timeout_s: float, wait: bool) -> None:
    """Empty node ID: others lead its groups and take its replicas, a few at a time; it stays a member.

    For work on its machine, or before it is removed: then `redraft node remove` has nothing to wait for.
    It is given nothing until `redraft node undrain`.
    """
    address = parse_address(at)
    epoch = trio.run(put, address, timeout_s, ["DRAIN-NODE", str(node_id)])
    click.echo(f"node {node_id} is being emptied")
    why = why_not_drained(trio.run(ask_controller, address, timeout_s))
    if why:
        click.echo(why, err=True)
    elif wait:
        trio.run(partial(follow, address, epoch, lambda report: waiting_for_drain(report, node_id)))
        click.echo(f"node {node_id} holds no replica any more")


@node.command()
@click.argument("node_id", type=click.IntRange(1), metavar="ID")
@at_option
@timeout_option
def undrain(node_id: int, at: str, timeout_s: float) -> None:
    """Let node ID, that was drained, hold replicas and lead groups again."""
    trio.run(put, parse_address(at), timeout_s, ["UNDRAIN-NODE", str(node_id)])
    click.echo(f"node {node_id} is given its share again")


def waiting_for_drain(report: Report, node_id: int) -> str:
    """What a node that is drained still waits for, nothing when it is empty."""
    held = sum(node_id in group.voters for group in report.groups)
    moving = [str(group.id) for group in report.groups if group.moving]
    if not held and not moving:
        return ""
    under_way = f", group {', '.join(moving)} moving" if moving else ""
    return f"{held} replica{'s' * (held != 1)} left on node {node_id}{under_way}"


def waiting_for_removal(report: Report, node_id: int) -> str:
    """What the removal of a node still waits for, nothing when it is done."""
    if not any(row.id == node_id for row in report.nodes):
        return ""
    moving = [group for group in report.groups if group.moving]
    if not moving:
        return "the topology group lets it go"
    return "group " + ", ".join(str(group.id) for group in moving) + " moving"
