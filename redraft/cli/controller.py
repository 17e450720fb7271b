"""`redraft controller`: what the cluster does by itself, what it puts off and why, what it did lately."""

from __future__ import annotations

import sys

import click
import trio
from rich.console import Console

from redraft.base.address import parse_address
from redraft.cli.at import at_option
from redraft.cli.controllerview import REQUEST, ask_controller, draw_controller
from redraft.cli.report import ask


@click.command()
@at_option
@click.option("--json", "as_json", is_flag=True, help="What the asked node knows, as JSON.")
@click.option("--timeout", "timeout_s", default=3.0, show_default=True, metavar="SECONDS")
def controller(at: str, as_json: bool, timeout_s: float) -> None:
    """Show what the controller would do now, what it puts off and why, and its last decisions."""
    address = parse_address(at)
    if as_json:
        sys.stdout.write(trio.run(ask, address, timeout_s, REQUEST).decode() + "\n")
        return
    report = trio.run(ask_controller, address, timeout_s)
    draw_controller(report, Console(soft_wrap=not sys.stdout.isatty()))
