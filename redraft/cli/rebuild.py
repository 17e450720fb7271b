"""`redraft rebuild`: a node whose files are damaged leaves its cluster, to come back as a new one."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import click
import trio

from redraft.base.address import parse_address
from redraft.base.errors import DirectoryError
from redraft.cli.at import at_option
from redraft.cli.change import follow, put
from redraft.cli.node import timeout_option, waiting_for_removal
from redraft.cli.report import Report, ask_report
from redraft.node.identity import IDENTITY, DataDirectory


@click.command()
@click.option("--dir", "path", required=True, type=click.Path(path_type=Path), help="The node's directory.")
@at_option
@timeout_option
def rebuild(path: Path, at: str, timeout_s: float) -> None:
    """Empty a damaged node's directory, so that its peers can fill it again.

    The node must not run; --at names a node that does. The damaged node is removed from the cluster (its
    replicas stand on the others meanwhile), and its files are set aside in DIR/damaged. Then start it as
    before with --join: it comes back as a new node and gets all it held from its peers.
    """
    address = parse_address(at)
    if not (path / IDENTITY).exists():
        raise DirectoryError(f"There is no node in {path}: name the damaged node's directory with --dir.")
    with closing(DataDirectory.open(path)) as directory:
        report = trio.run(ask_report, address, timeout_s)
        if report.cluster_id != directory.identity.cluster_id:
            raise DirectoryError(
                f"The node in {path} is of cluster {directory.identity.cluster_id[:12] or 'none'}, {at} of "
                f"cluster {report.cluster_id[:12]}: name a node of its own cluster with --at."
            )
        number = _number(report, directory.identity.hex_id)
        if number:
            epoch = trio.run(put, address, timeout_s, ["REMOVE-NODE", str(number)])
            click.echo(f"node {number} is being removed")
            trio.run(partial(follow, address, epoch, lambda seen: waiting_for_removal(seen, number)))
        kept = directory.set_aside()
    click.echo(f"{path} is empty; what was there is in {kept} (remove it when nobody needs it any more)")
    click.echo(f"start the node as before, with --join {at}")


def _number(report: Report, hex_id: str) -> int:
    """The id under which the cluster knows a node, 0 when it does not."""
    return next((row.id for row in report.nodes if row.hex_id == hex_id), 0)
