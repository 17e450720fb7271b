"""`redraft ping`: is the node up, and can it serve?  For health checks and scripts."""

from __future__ import annotations

import click
import trio

from redraft.base.address import parse_address
from redraft.cli.at import at_option
from redraft.cli.report import NoAnswerError, ask_report


@click.command()
@at_option
@click.option("--timeout", "timeout_s", default=3.0, show_default=True, metavar="SECONDS")
def ping(at: str, timeout_s: float) -> None:
    """Exit with 0 if the node answers and is ready to serve, else with 1 and the reason."""
    address = parse_address(at)
    report = trio.run(ask_report, address, timeout_s)
    if not report.ready:
        raise NoAnswerError(
            f"The node at {address.client} is up but not ready: it does not know a leader for each group."
        )
    click.echo(f"node {report.node} at {address.client} is ready")
