"""`redraft recover`: make one node that is left the whole cluster, when a quorum is lost for good."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from redraft.base.errors import DamagedError, DirectoryError
from redraft.node.bootstrap import configuration_of, roster_of
from redraft.node.conversion import checkpoints
from redraft.node.identity import IDENTITY, DataDirectory
from redraft.node.recovering import Found, examine, recover
from redraft.snapshot.format import Header
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Worker
from redraft.transport.handshake import Stage
from redraft.wal.files import SystemFiles
from redraft.wal.log import Log

WARNING = """\
THIS IS THE LAST RESORT. It makes node {node} alone the cluster, with what is on its disk:
  - Writes that only the lost nodes had are gone, even if clients were told they succeeded.
  - Writes whose clients were told nothing may turn out to have happened.
  - Never start another node of the old cluster with its old directory again. (It would be refused.)
Do it only if a majority of the nodes can't come back, and on the node with the highest entries:
compare them with `redraft recover --dir DIR --show` on every node that is left."""


@click.command(name="recover")
@click.option("--dir", "path", required=True, type=click.Path(path_type=Path), help="The node's directory.")
@click.option("--show", is_flag=True, help="Only show what the node has; change nothing of it.")
@click.option("--lose-groups", is_flag=True, help="Also if the node lacks groups: they begin again, empty.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def recover_command(path: Path, show: bool, lose_groups: bool, yes: bool) -> None:
    """Make one node that is left the whole cluster. Offline, and only when a quorum is lost for good.

    Then start the node as before; add others with empty directories and --join.
    """
    if not (path / IDENTITY).exists():
        raise DirectoryError(f"There is no node in {path}: name a node's data directory with --dir.")
    with closing(DataDirectory.open(path)) as directory:
        if directory.identity.stage != Stage.FORMED.value or not Log.exists(directory.log_path):
            raise DirectoryError(f"The node in {path} has never been part of a cluster: nothing to recover.")
        with closing(Log.open(directory.log_path)) as log, closing(Worker(threaded=False)) as worker:
            store = Store(directory.snapshots_path, SystemFiles(), worker)
            first = configuration_of(directory.identity)
            left = _checkpoints(directory)
            found = examine(directory, first, roster_of(directory).topology, log, store, left)
            _show(found)
            if show:
                return
            _agree(found, lose_groups=lose_groups, yes=yes)
            cluster_id = recover(directory, found, log)
    click.echo(f"node {found.node_id} is now cluster {cluster_id[:12]}: start it as before")


def _checkpoints(directory: DataDirectory) -> dict[int, Header]:
    """What engines on disk have of the node's groups."""
    try:
        return checkpoints(directory.engine_path)
    except DamagedError as error:
        raise DamagedError(f"{error} Recover another node of the cluster.") from error
    except OSError as error:
        raise DirectoryError(f"{directory.engine_path} can't be read: {error.strerror or error}.") from error


def _show(found: Found) -> None:
    click.echo(f"node {found.node_id} of cluster {found.cluster_id[:12]}")
    for group, index in sorted(found.held.items()):
        click.echo(f"  group {group}: entries up to {index}")
    if found.lacking:
        click.echo(f"  no replica of: group {', '.join(map(str, found.lacking))}")


def _agree(found: Found, *, lose_groups: bool, yes: bool) -> None:
    if found.lacking and not lose_groups:
        raise DirectoryError(
            f"This node has nothing of group {', '.join(map(str, found.lacking))}: recover a node that has "
            "all, or say --lose-groups to begin these again, empty."
        )
    click.secho(WARNING.format(node=found.node_id), fg="red", err=True)
    if not yes:
        click.confirm("Make it the cluster?", abort=True, err=True)
