"""The table's rows for HyperLogLogs."""

from __future__ import annotations

from functools import partial

from redraft.commands import hyperloglog
from redraft.commands.command import Command, row
from redraft.commands.keyspec import plain, single

_hyperloglog = partial(row, group="hyperloglog")

HYPERLOGLOGS: tuple[Command, ...] = (
    _hyperloglog(
        "pfadd", -2, "write denyoom fast", (1, 1, 1), "RW insert",
        since="2.8.9", summary="Count elements in a HyperLogLog", usage="key [element [element ...]]",
        complexity="O(1) for each element", handler=hyperloglog.pfadd,
    ),
    _hyperloglog(
        "pfcount", -2, "readonly", (1, -1, 1), "RW access",
        since="2.8.9", summary="About how many different elements HyperLogLogs have counted",
        usage="key [key ...]", complexity="O(N), N being the number of keys", handler=hyperloglog.pfcount,
    ),
    _hyperloglog(
        "pfmerge", -2, "write denyoom", (1, -1, 1),
        key_specs=(single(1, "RW access insert"), *plain((2, -1, 1), "RO access")),
        since="2.8.9", summary="Make a HyperLogLog count what others have counted",
        usage="destkey [sourcekey [sourcekey ...]]", complexity="O(N), N being the number of keys",
        handler=hyperloglog.pfmerge,
    ),
)  # fmt: skip
