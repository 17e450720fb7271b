"""`redraft version`: what is installed, for a bug report."""

from __future__ import annotations

import importlib.util
import os
import platform

import click
import trio

from redraft import __version__


@click.command()
def version() -> None:
    """Show the versions of redraft and of what it stands on."""
    click.echo(f"redraft {__version__}")
    click.echo(f"accel   {_accel()}")
    click.echo(f"python  {platform.python_version()} ({platform.python_implementation()})")
    click.echo(f"trio    {trio.__version__}")
    click.echo(f"system  {platform.system()} {platform.release()} {platform.machine()}")


def _accel() -> str:
    if os.environ.get("REDRAFT_PURE") == "1":
        return "pure Python (REDRAFT_PURE=1)"
    if importlib.util.find_spec("redraft.accel._native") is None:
        return "pure Python (the C extension is not built)"
    return "C extension"
