"""`redraft server`: one node in the foreground, log lines on stderr, a clean end on SIGTERM or Ctrl-C.

Owns the process (signals, file limit, logs, exit code); what a node is made of is `redraft.cli.wiring`.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from pathlib import Path

import click
import trio

from redraft import __version__
from redraft.base.config import Config
from redraft.base.configload import load_config, unknown_variables
from redraft.base.errors import DirectoryError
from redraft.cli.localdir import MEMORY
from redraft.cli.logs import start_logging
from redraft.cli.options import SectionedCommand, setting_flags
from redraft.cli.ports import check_ports
from redraft.cli.wiring import serve

FILES_BESIDE_CLIENTS = 512  # log segments, peers, listeners, epoll, and room to breathe
log = logging.getLogger("redraft.server")


@click.command(cls=SectionedCommand, params=setting_flags())
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A TOML file of settings; REDRAFT_* variables and flags go before it.",
)
@click.option("--stop-with-stdin", is_flag=True, hidden=True, help="Stop when standard input closes.")
def server(config_file: Path | None, stop_with_stdin: bool, **flags: str | None) -> None:
    """Run one node in the foreground.

    Every setting can stand in the TOML file, in the environment (REDRAFT_ and the name in capitals)
    or be a flag; the later wins. Without --cluster the node is a cluster of one.

    \b
    redraft server --listen 10.0.0.1:6379 --cluster 10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379 \\
        --dir /var/lib/redraft --cluster-secret-file /etc/redraft/secret
    """
    config = load_config(flags, file=config_file, environ=os.environ)
    start_logging(config.log_level)
    if (config.dir / MEMORY).exists():
        raise DirectoryError(
            f"{config.dir} is a directory of `redraft local`: run that, or choose another with --dir."
        )
    check_ports([config], "choose another address with --listen")
    trio.run(_run, config, stop_with_stdin)
    log.info("stopped")


def _greet(config: Config) -> None:
    names = ", ".join(each.client for each in config.cluster)
    log.info("redraft %s, pid %d, data in %s", __version__, os.getpid(), config.dir.absolute())
    log.info("node %s of the cluster %s, %d groups", config.own_address.client, names, config.groups)
    for name in unknown_variables(os.environ):
        log.warning("the variable %s names no setting and is ignored", name)
    if not config.cluster_secret:
        log.warning("no cluster secret is set: only this machine can reach the node")
    _raise_file_limit(config)


def _raise_file_limit(config: Config) -> None:
    """Ask for as many open files as `maxclients` clients need; say so when they are not to be had."""
    wanted = config.maxclients + FILES_BESIDE_CLIENTS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, possible), hard))
        if possible < wanted:
            clients = possible - FILES_BESIDE_CLIENTS
            log.warning(
                "%d open files are allowed: enough for %d clients, not for maxclients", possible, clients
            )


async def _run(config: Config, stop_with_stdin: bool) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, stop)
        _greet(config)
        if stop_with_stdin:
            nursery.start_soon(_stop_with_stdin, stop)
        await serve(config, stop)
        nursery.cancel_scope.cancel()


async def _stop_on_signal(stop: trio.Event, task_status: trio.TaskStatus[None]) -> None:
    """The first signal asks for a clean stop, the second one does not ask."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                log.warning("second signal: stopping at once")
                logging.shutdown()
                os._exit(128 + number)
            log.info("%s: stopping", signal.Signals(number).name)
            stop.set()


async def _stop_with_stdin(stop: trio.Event) -> None:
    """Whoever started this node holds the other end of its standard input, and has gone when that closes."""
    descriptor = sys.stdin.fileno()
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        if not os.read(descriptor, 4096):
            break
    if not stop.is_set():
        log.warning("the process that started this node has gone: stopping")
        stop.set()
