"""The table's rows for channels: who listens, who publishes.  Nodes see to them without asking a group."""

from __future__ import annotations

from functools import partial

from redraft.commands.command import Command, row

_pubsub = partial(row, group="pubsub", local=True)
_LISTENS = "pubsub noscript loading stale"
_TELLS = "pubsub loading stale fast"
_ASKS = "pubsub loading stale"
_N = "O(N)"

_PUBSUB = (
    _pubsub("pubsub|channels", -2, _ASKS, since="2.8.0", summary="The channels that are listened to here",
            complexity=_N, usage="[pattern]"),
    _pubsub("pubsub|help", 2, "loading stale", since="6.2.0", summary="What PUBSUB can do"),
    _pubsub("pubsub|numpat", 2, _ASKS, since="2.8.0",
            summary="How many patterns of channels are listened to here"),
    _pubsub("pubsub|numsub", -2, _ASKS, since="2.8.0", summary="How many listen to channels here",
            complexity=_N, usage="[channel [channel ...]]"),
    _pubsub("pubsub|shardchannels", -2, _ASKS, since="7.0.0",
            summary="The shard channels that are listened to here", complexity=_N, usage="[pattern]"),
    _pubsub("pubsub|shardnumsub", -2, _ASKS, since="7.0.0", summary="How many listen to shard channels here",
            complexity=_N, usage="[shardchannel [shardchannel ...]]"),
)  # fmt: skip

PUBSUB: tuple[Command, ...] = (
    _pubsub("psubscribe", -2, _LISTENS, since="2.0.0", summary="Listen to all channels that match patterns",
            complexity=_N, usage="pattern [pattern ...]"),
    _pubsub("publish", 3, _TELLS, since="2.0.0", summary="Tell a message to all who listen to a channel",
            complexity="O(N+M)", usage="channel message"),
    _pubsub("pubsub", -2, since="2.8.0", summary="About channels", complexity="Depends on the subcommand",
            subcommands=_PUBSUB),
    _pubsub("punsubscribe", -1, _LISTENS, since="2.0.0",
            summary="Listen no more to channels that match patterns", complexity=_N,
            usage="[pattern [pattern ...]]"),
    _pubsub("spublish", 3, _TELLS, (1, 1, 1), "not_key", since="7.0.0",
            summary="Tell a message to all who listen to a shard channel", complexity=_N,
            usage="shardchannel message"),
    _pubsub("ssubscribe", -2, _LISTENS, (1, -1, 1), "not_key", since="7.0.0",
            summary="Listen to shard channels", complexity=_N,
            usage="shardchannel [shardchannel ...]"),
    _pubsub("subscribe", -2, _LISTENS, since="2.0.0", summary="Listen to channels", complexity=_N,
            usage="channel [channel ...]"),
    _pubsub("sunsubscribe", -1, _LISTENS, (1, -1, 1), "not_key", since="7.0.0",
            summary="Listen no more to shard channels", complexity=_N,
            usage="[shardchannel [shardchannel ...]]"),
    _pubsub("unsubscribe", -1, _LISTENS, since="2.0.0", summary="Listen no more to channels", complexity=_N,
            usage="[channel [channel ...]]"),
)  # fmt: skip
