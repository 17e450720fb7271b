"""The table's rows for what a node answers by itself: the connection, the server."""

from __future__ import annotations

from functools import partial

from redraft.commands import transaction, whole
from redraft.commands.command import Command, row

_connection = partial(row, group="connection", local=True)
_server = partial(row, group="server", local=True)
_transaction = partial(row, group="transactions", local=True)
_ALWAYS = "loading stale"
_SETUP = "noscript loading stale fast no_auth allow_busy"
_OWN = "noscript loading stale"
_SWITCH = "noscript loading stale fast allow_busy"
_ADMIN = "admin noscript loading stale"
_VARIES = "nondeterministic_output"
_BY_SUBCOMMAND = "Depends on the subcommand"

_CLIENT = (
    _connection("client|getname", 2, _OWN, since="2.6.9", summary="The connection's name"),
    _connection("client|help", 2, _ALWAYS, since="5.0.0", summary="What CLIENT can do"),
    _connection("client|id", 2, _OWN, since="5.0.0", summary="The connection's number"),
    _connection("client|info", 2, _OWN, since="6.2.0",
                summary="What is known about the connection", tips=_VARIES),
    _connection(
        "client|kill", -3, _ADMIN, since="2.4.0", summary="Close connections", complexity="O(N)",
        usage="ip:port|<[ID client-id] [TYPE <NORMAL|MASTER|SLAVE|REPLICA|PUBSUB>]"
              " [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]>",
    ),
    _connection(
        "client|list", -2, _ADMIN, since="2.4.0", summary="The open connections", complexity="O(N)",
        usage="[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id [client-id ...]]", tips=_VARIES,
    ),
    _connection("client|no-evict", 3, _ADMIN, since="7.0.0", summary="Keep the connection from being evicted",
                usage="ON|OFF"),
    _connection("client|no-touch", 3, _OWN, since="7.2.0",
                summary="Let commands not count as uses of their keys",
                usage="ON|OFF"),
    _connection("client|reply", 3, _OWN, since="3.2.0", summary="Whether the connection is sent replies",
                usage="ON|OFF|SKIP"),
    _connection("client|setinfo", 4, _OWN, since="7.2.0", summary="Tell the client library's name or version",
                usage="LIB-NAME libname|LIB-VER libver"),
    _connection("client|setname", 3, _OWN, since="2.6.9", summary="Name the connection",
                usage="connection-name"),
)  # fmt: skip

_REDRAFT = (
    _server("redraft|remove-node", 3, _ADMIN, since="7.0.0", summary="Take a node out of the cluster",
            usage="node-id"),
    _server("redraft|drain-node", 3, _ADMIN, since="7.0.0",
            summary="Empty a node: its replicas go to others, it stays a member", usage="node-id"),
    _server("redraft|undrain-node", 3, _ADMIN, since="7.0.0", summary="Let a drained node hold replicas",
            usage="node-id"),
    _server("redraft|controller", 2, "loading stale", since="7.0.0",
            summary="What the controller does, puts off, and did lately, as JSON"),
    _server("redraft|move-group", -4, _ADMIN, since="7.0.0",
            summary="Choose the nodes a group stands on, the preferred leader first",
            usage="group-id node-id [node-id ...] [REPLACE]"),
    _server("redraft|move-slots", 4, _ADMIN, since="7.0.0", summary="Move slots of one group to another",
            usage="slot-ranges group-id"),
    _server("redraft|cancel-move", 3, _ADMIN, since="7.0.0", summary="Give a move of slots up",
            usage="move-id"),
    _server("redraft|create-group", -2, _ADMIN, since="7.0.0", summary="Make a group without slots",
            usage="[NODES node-id [node-id ...]]"),
    _server("redraft|split-group", -3, _ADMIN, since="7.0.0",
            summary="Move slots of a group, half of them unless they are named, to a new one",
            usage="group-id [SLOTS slot-ranges] [NODES node-id [node-id ...]]"),
    _server("redraft|merge-groups", 4, _ADMIN, since="7.0.0",
            summary="Move all slots of a group to another one, and drop it", usage="from-group-id group-id"),
    _server("redraft|drop-group", 3, _ADMIN, since="7.0.0", summary="Drop a group that has no slots",
            usage="group-id"),
    _server("redraft|digest", 2, "write admin noscript", since="7.0.0",
            summary="Let every replica make a digest of its state, which REDRAFT STATUS shows",
            handler=whole.digest),
    _server("redraft|status", 2, "loading stale", since="7.0.0",
            summary="The state of nodes and groups, as JSON"),
)  # fmt: skip

_COMMAND = (
    _server("command|count", 2, _ALWAYS, since="2.8.13", summary="The number of commands"),
    _server("command|docs", -2, _ALWAYS, since="7.0.0", summary="What commands do", complexity="O(N)",
            usage="[command-name [command-name ...]]", tips="nondeterministic_output_order"),
    _server("command|getkeys", -4, _ALWAYS, since="2.8.13", summary="The keys of a request",
            complexity="O(N)", usage="command [arg [arg ...]]"),
    _server("command|getkeysandflags", -4, _ALWAYS, since="7.0.0",
            summary="The keys of a request and what is done to them",
            complexity="O(N)", usage="command [arg [arg ...]]"),
    _server("command|help", 2, _ALWAYS, since="5.0.0", summary="What COMMAND can do"),
    _server("command|info", -2, _ALWAYS, since="2.8.13", summary="Facts about commands", complexity="O(N)",
            usage="[command-name [command-name ...]]", tips="nondeterministic_output_order"),
    _server("command|list", -2, _ALWAYS, since="7.0.0",
            summary="The names of the commands", complexity="O(N)",
            usage="[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
            tips="nondeterministic_output_order"),
)  # fmt: skip

_CONFIG = (
    _server("config|get", -3, _ADMIN, since="2.0.0", summary="The values of settings", complexity="O(N)",
            usage="parameter [parameter ...]"),
    _server("config|help", 2, _ALWAYS, since="5.0.0", summary="What CONFIG can do"),
    _server("config|resetstat", 2, _ADMIN, since="2.0.0", summary="Set the counters of INFO to zero"),
    _server("config|rewrite", 2, _ADMIN, since="2.8.0",
            summary="Write the settings to the file they came from"),
    _server("config|set", -4, _ADMIN, since="2.0.0", summary="Change settings", complexity="O(N)",
            usage="parameter value [parameter value ...]",
            tips="request_policy:all_nodes response_policy:all_succeeded"),
)  # fmt: skip

LOCAL: tuple[Command, ...] = (
    _connection("auth", -2, _SETUP, since="1.0.0", summary="Prove who you are", usage="[username] password",
                complexity="O(N)"),
    _connection("client", -2, since="2.4.0", summary="About connections", complexity=_BY_SUBCOMMAND,
                subcommands=_CLIENT),
    _connection("echo", 2, "loading stale fast", since="1.0.0", summary="The message given", usage="message"),
    _connection("hello", -1, _SETUP, since="6.0.0", summary="Choose the protocol",
                usage="[protover [AUTH username password] [SETNAME clientname]]"),
    _connection("ping", -1, "fast", since="1.0.0", summary="PONG, or the message given", usage="[message]",
                tips="request_policy:all_shards response_policy:all_succeeded"),
    _connection("quit", -1, _SETUP, since="1.0.0", summary="Close the connection"),
    _connection("reset", 1, _SETUP, since="6.2.0", summary="Make the connection as if it were new"),
    _connection("select", 2, "loading stale fast", since="1.0.0",
                summary="Choose the database (0 is the only one)",
                usage="index"),
    _server("command", -1, _ALWAYS, since="2.8.13", summary="Facts about all commands", complexity="O(N)",
            tips="nondeterministic_output_order", subcommands=_COMMAND),
    _server("config", -2, since="2.0.0", summary="The server's settings", complexity=_BY_SUBCOMMAND,
            subcommands=_CONFIG),
    _server("info", -1, _ALWAYS, since="1.0.0", summary="Facts and counters of the server",
            usage="[section [section ...]]",
            tips="nondeterministic_output request_policy:all_shards response_policy:special"),
    _server("lolwut", -1, "readonly fast", since="5.0.0", summary="A piece of computer art",
            usage="[VERSION version]"),
    _server("redraft", -2, "loading stale", since="7.0.0", summary="About this server as a replicated one",
            complexity=_BY_SUBCOMMAND,
            subcommands=_REDRAFT),
    _server("time", 1, "loading stale fast", since="2.6.0", summary="The server's time", tips=_VARIES),
    _transaction("discard", 1, _SWITCH, since="2.0.0", summary="Forget the commands queued by MULTI",
                 complexity="O(N)"),
    _transaction("exec", 1, "noscript loading stale skip_slowlog", since="1.2.0",
                 summary="Carry out the commands queued by MULTI, as one", complexity="O(N)"),
    _transaction("multi", 1, _SWITCH, since="1.2.0", summary="Begin a transaction: queue what follows"),
    _transaction("unwatch", 1, _SWITCH, since="2.2.0", summary="Forget which keys are watched"),
    _transaction("watch", -2, _SWITCH, (1, -1, 1), "RO", since="2.2.0",
                 summary="Let the next EXEC do nothing if any of the keys has changed", complexity="O(N)",
                 usage="key [key ...]", handler=transaction.watch),
)  # fmt: skip
