"""The `redraft` command: its subcommands, and what a user sees when one of them fails.

A failure that has a sentence (`redraft.base.errors`) is shown as that sentence and exit code 1; wrong
usage is click's, exit code 2; anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import sys
from typing import NoReturn, TextIO

import click

from redraft import __version__
from redraft.base.errors import RedraftError
from redraft.cli.controller import controller
from redraft.cli.digest import digest
from redraft.cli.group import group
from redraft.cli.local import local
from redraft.cli.node import node
from redraft.cli.ping import ping
from redraft.cli.rebuild import rebuild
from redraft.cli.recover import recover_command
from redraft.cli.server import server
from redraft.cli.simulate import simulate
from redraft.cli.slots import slots
from redraft.cli.status import status
from redraft.cli.version import version

INTERRUPTED = 130  # what a shell calls death by Ctrl-C


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="redraft %(version)s")
def commands() -> None:
    """A Redis-protocol server that does not lose data: sharded, replicated with Raft, linearizable.

    \b
    redraft local       a three-node cluster on this machine, in one line
    redis-cli -p 6379   talk to it
    """


for command in (
    local,
    server,
    status,
    digest,
    node,
    group,
    slots,
    controller,
    rebuild,
    recover_command,
    ping,
    simulate,
    version,
):
    commands.add_command(command)


def main() -> NoReturn:
    """Run the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console is a TextIOWrapper
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = commands.main(arguments, prog_name="redraft", standalone_mode=False)
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        _complain(sentence, sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


def sentence_of(error: BaseException) -> str | None:
    """The one sentence an operator needs, if every part of the failure has one (Trio groups failures)."""
    if isinstance(error, BaseExceptionGroup):
        sentences = [sentence_of(part) for part in error.exceptions]
        return None if None in sentences else sentences[0]
    return str(error) if isinstance(error, RedraftError) else None


def _complain(sentence: str, stream: TextIO) -> None:
    click.echo(click.style("redraft: ", fg="red", bold=True) + sentence, file=stream)
