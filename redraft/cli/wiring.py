"""The composition of a node: the one place that knows every layer.

`serve` runs from the data directory's lock to the last synced byte; the command around it owns
signals, logs and the exit code.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import trio

from redraft.base.address import Address
from redraft.base.config import Config
from redraft.base.errors import DirectoryError, RemovedError
from redraft.engine.kinds import opener
from redraft.node.bootstrap import Bootstrap, Configuration
from redraft.node.clock import SystemClock
from redraft.node.conversion import convert
from redraft.node.driver import Driver
from redraft.node.founding import form
from redraft.node.identity import DataDirectory
from redraft.node.joining import Admission, join
from redraft.node.node import Node
from redraft.node.standing import Standing
from redraft.node.states import DiskStates, MemoryStates, States
from redraft.node.wire import Wire
from redraft.server.frontend import FrontEnd
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Worker
from redraft.transport.handshake import Stage
from redraft.transport.peers import Peers
from redraft.transport.reactor import Reactor
from redraft.wal.files import SystemFiles
from redraft.wal.log import Log
from redraft.wal.options import LogOptions

log = logging.getLogger("redraft.node")


async def serve(config: Config, stop: trio.Event) -> None:
    """Run one node until `stop` is set, then hand over what it leads, and return once it is closed.

    Raises a RedraftError (or a group of them) when the node can't start or can't go on.
    """
    with (
        closing(DataDirectory.open(config.dir)) as directory,
        # The log first: a node that is a member on disk has one, whatever it crashed in the middle of.
        closing(_open_log(config, directory)) as node_log,
        ExitStack() as behind_worker,
        closing(Worker()) as worker,
        closing(Reactor()) as reactor,
    ):
        bootstrap = _bootstrap(config, directory)
        peers = Peers(
            reactor,
            bootstrap,
            secret=config.cluster_secret.encode(),
            queue_bytes_max=config.peer_queue_bytes_max,
        )
        async with _cancelled_behind() as nursery:
            await nursery.start(peers.listen, config.host, config.peer_port)
            configuration = await _unless(stop, bootstrap, peers, config.join)
            if configuration is not None:
                await _take_over(config, directory, stop)
            if configuration is not None and not stop.is_set():
                store = Store(directory.snapshots_path, SystemFiles(), worker)
                states = _states(config, directory.engine_path, worker)
                behind_worker.callback(states.close)
                node = _node(config, configuration, bootstrap, directory, node_log, store, states)
                peers.admit = Admission(node, bootstrap, reactor.wake)
                with closing(node):
                    await _run(node, Driver(node, reactor, node_log, worker), reactor, peers, stop)


def _bootstrap(config: Config, directory: DataDirectory) -> Bootstrap:
    return Bootstrap(
        directory,
        own=config.own_address,
        primary_port=config.primary_port,
        replica_port=config.replica_port,
        cluster=config.cluster,
        groups=config.groups,
        replication_factor=config.replication_factor,
        joins=config.join is not None,
    )


def _open_log(config: Config, directory: DataDirectory) -> Log:
    """Recover the log; a member of a cluster without one has lost its disk and must not vote."""
    path = directory.log_path
    if directory.identity.stage != Stage.NEW.value and not Log.exists(path):
        raise DirectoryError(
            f"The log of this node is missing from {path}: restore it, or empty {directory.path} and join "
            "the node as a new one with --join."
        )
    options = LogOptions(segment_bytes=config.log_segment_bytes, cache_bytes=config.log_cache_bytes)
    return Log.open(path, options)


async def _unless(
    stop: trio.Event, bootstrap: Bootstrap, peers: Peers, member: Address | None
) -> Configuration | None:
    """Form the cluster, or join one by that member; None when the node is stopped before."""
    formed: Configuration | None = None
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        if bootstrap.joins and member is not None:
            formed = await join(bootstrap, peers, member)
        else:
            formed = await form(bootstrap, peers)
        nursery.cancel_scope.cancel()
    return formed


def _node(
    config: Config,
    configuration: Configuration,
    bootstrap: Bootstrap,
    directory: DataDirectory,
    node_log: Log,
    store: Store,
    states: States,
) -> Node:
    card = bootstrap.card()
    standing = Standing(
        configuration.node_id,
        configuration.topology,
        bootstrap.roster,
        directory,
        (card.primary_port, card.replica_port, card.peer_port),
        config.announced,
    )
    return Node(
        config,
        standing,
        card.incarnation,
        node_log,
        SystemClock(),
        store=store,
        states=states,
        rng=random.Random(),
        first_start=bootstrap.first_start,
    )


def _states(config: Config, path: Path, worker: Worker) -> States:
    """Where the node's replicas have their states, by the engine it is configured for."""
    if config.engine == "hash":
        return MemoryStates()
    open_store = opener(config.engine, pause=partial(time.sleep, 0))
    return DiskStates(path / config.engine, open_store, worker, memory_bytes=config.engine_memory_bytes)


async def _take_over(config: Config, directory: DataDirectory, stop: trio.Event) -> None:
    """Make snapshots of what the engines that the node was started with before have left."""
    with closing(Worker(threaded=False)) as worker:
        store = Store(directory.snapshots_path, SystemFiles(), worker)
        dropped = directory.dropped
        await trio.to_thread.run_sync(
            convert, directory.engine_path, config.engine, store, dropped, stop.is_set
        )


async def _run(
    node: Node,
    driver: Driver,
    reactor: Reactor,
    peers: Peers,
    stop: trio.Event,
) -> None:
    front = FrontEnd(node, reactor)
    driver.add_tick(front.tick)
    front.listen()
    try:
        async with _cancelled_behind() as nursery:
            nursery.start_soon(driver.run)

            async def keep_linked() -> None:
                await peers.keep_linked(
                    node.node_id,
                    on_up=lambda peer, link: node.on_link_up(peer, Wire(link)),
                    on_down=node.on_link_down,
                    on_message=node.on_frame,
                )

            nursery.start_soon(keep_linked)
            nursery.start_soon(_until_removed, node, peers)
            log.info(
                "serving clients on port %d, cluster clients on %d and %d",
                node.config.port,
                node.config.primary_port,
                node.config.replica_port,
            )
            await stop.wait()
            await driver.hand_over()
    finally:
        front.close()


async def _until_removed(node: Node, peers: Peers) -> None:
    """Let the links follow the members; raises RemovedError once this node is none any more."""
    removed = trio.Event()

    def changed() -> None:
        if node.steering.removed:
            removed.set()
        else:
            peers.refresh()

    node.steering.changed = changed
    changed()
    await removed.wait()
    raise RemovedError(
        f"Node {node.node_id} was removed from the cluster: its data directory {node.config.dir} is of no "
        "use any more. To add this machine again, start it with --join and an empty directory."
    )


@asynccontextmanager
async def _cancelled_behind() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks end with the block."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()
