"""`--at HOST:PORT`: which node an admin command asks."""

from __future__ import annotations

import click

at_option = click.option(
    "--at",
    envvar="REDRAFT_AT",
    default="127.0.0.1:6379",
    show_default=True,
    metavar="HOST:PORT",
    help="The client address of any node.",
)
