"""Draws a Report: a head line, a table of nodes, a table of groups.  Knows nothing of sockets."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraft.base.address import Address
from redraft.cli.report import GroupRow, NodeRow, Report

BEHIND_LAG = 1000  # entries; a follower further behind than this is catching up rather than following


def draw(report: Report, asked: Address, console: Console) -> None:
    """Print a report."""
    alive = sum(row.alive for row in report.nodes)
    led = sum(bool(group.leader) for group in report.groups)
    head = Text.assemble(
        ("cluster ", "dim"),
        (report.cluster_id[:12] or "?", "bold"),
        ("  nodes ", "dim"),
        (f"{alive}/{len(report.nodes)} up", _health(alive == len(report.nodes))),
        ("  groups ", "dim"),
        (f"{led}/{len(report.groups)} led", _health(led == len(report.groups))),
        ("  asked ", "dim"),
        f"node {report.node} at {asked.client}",
        ("  up ", "dim"),
        duration(report.uptime_s),
    )
    console.print(head, Text(), nodes_table(report), Text(), groups_table(report), sep="\n")
    if report.moves:
        console.print(Text(), moves_table(report), sep="\n")


def nodes_table(report: Report) -> Table:
    """One row a node: where it is, whether it lives, what it leads; other ports: primary, replica, peer."""
    table = _table("node", "address", "state", "leads", "other ports", "round trip", "id")
    for row in report.nodes:
        leads = [group.id for group in report.groups if group.leader == row.id]
        table.add_row(
            str(row.id),
            Text(row.address, style="bold" if row.alive else "dim"),
            _state(row),
            number_ranges(leads) or "-",
            f"{row.primary_port} {row.replica_port} {row.peer_port}",
            "-" if row.rtt_ms is None or row.id == report.node else f"{row.rtt_ms:.1f} ms",
            Text(row.hex_id[:8], style="dim"),
        )
    return table


def groups_table(report: Report) -> Table:
    """One row a group: who leads it in which term, how far it is, how far behind its followers are."""
    table = _table("group", "slots", "leader", "term", "commit", "applied", "keys", "followers")
    for group in report.groups:
        leader = Text(f"node {group.leader}") if group.leader else Text("none", style="bold red")
        applied = Text(
            str(group.applied_index), style="" if group.applied_index == group.commit_index else "yellow"
        )
        table.add_row(
            str(group.id),
            ", ".join(f"{low}-{high}" for low, high in group.slots) or "-",
            leader,
            str(group.term),
            str(group.commit_index),
            applied,
            str(group.keys),
            _followers(group),
        )
    return table


def moves_table(report: Report) -> Table:
    """One row a move of slots: from where to where, how far, how fast."""
    table = _table("move", "slots", "from", "to", "state", "keys", "MB/s", "to go")
    for move in report.moves:
        state = "cancelled" if move.cancelled else move.phase or "waiting for its leader"
        table.add_row(
            str(move.id),
            ", ".join(f"{low}-{high}" for low, high in move.slots),
            f"group {move.source}",
            f"group {move.target}",
            Text(state, style="yellow"),
            f"{move.keys:,} of {move.keys_to_do:,}",
            f"{move.bytes_per_s / 1e6:.1f}",
            "-" if move.remaining_s is None else duration(move.remaining_s),
        )
    return table


def number_ranges(numbers: list[int]) -> str:
    """1, 2, 3 and 7 as `1-3, 7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def duration(seconds: float) -> str:
    """The two largest units of a time: `3d 4h`, `12m 5s`, `7s`."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2])


def _followers(group: GroupRow) -> Text:
    """Each follower's distance from the end of the leader's log; only a leader knows them."""
    if group.role != "leader":
        return Text("unknown (its leader was not reached)" if group.leader else "-", style="dim")
    text = Text()
    for replica in group.replicas:
        if replica.node == group.leader:
            continue
        lag = max(0, group.last_index - replica.match_index)
        style = "green" if lag == 0 else "yellow" if lag < BEHIND_LAG else "red"
        text.append(", " if text else "")
        text.append(f"{replica.node} ")
        text.append("in step" if lag == 0 else f"-{lag}", style=style)
        arrived, size = group.snapshot_sending.get(replica.node, (0, 0))
        if size:
            text.append(f" (snapshot {100 * arrived // size}%)", style="dim")
        elif replica.state not in ("", "replicate"):
            text.append(f" ({replica.state})", style="dim")
    if group.moving:
        text.append(", " if text else "")
        text.append(f"moving to {', '.join(map(str, group.voters))}", style="yellow")
    if group.dropping:
        text.append(", " if text else "")
        text.append("to be dropped", style="yellow")
    return text if text else Text("none", style="dim")


def _state(row: NodeRow) -> Text:
    if row.leaving:
        return Text("leaving" if row.alive else "down, leaving", style="yellow")
    if row.draining:
        return Text("drained" if row.alive else "down, drained", style="yellow")
    return Text("up", style="green") if row.alive else Text("down", style="bold red")


def _health(good: bool) -> str:
    return "green" if good else "bold red"


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for column in columns:
        right = column in ("term", "commit", "applied", "keys", "round trip")
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "followers")
    return table
