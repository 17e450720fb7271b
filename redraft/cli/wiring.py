"""The composition of a node: the one place that knows every layer.

`serve` runs from the bound sockets to the last synced byte; the command around it owns signals, logs
and the exit code.
"""

from __future__ import annotations

import trio

from redraft.base.config import Config


async def serve(config: Config, stop: trio.Event) -> None:
    """Run one node until `stop` is set, then hand over what it leads, and return once it is closed.

    Raises a RedraftError (or a group of them) when the node can't start or can't go on.
    """
    del config
    await stop.wait()
