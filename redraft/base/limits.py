"""Every bound that is no setting: queues, batches, frames, retries, each with its name and reason.

What an operator may change is in `redraft.base.config`; what stands here holds a queue, a buffer or
a retry that must end somewhere whatever the settings say.  Relations between them are asserted at
import (below), so that a changed number can't silently make two of them contradict each other.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# Slots (Redis Cluster's number: CRC16 of the key or of its {tag}, modulo this).
SLOT_COUNT: Final = 16384

# Offsets of a node's other ports from its client port; the peer port's is Redis's cluster bus.
PRIMARY_PORT_OFFSET: Final = 1000
REPLICA_PORT_OFFSET: Final = 2000
PEER_PORT_OFFSET: Final = 10000
PORT_MAX: Final = 65535

# The cluster.
NODES_MAX: Final = 64
GROUPS_MAX: Final = 1024
GROUP_ID_MAX: Final = 0xFFFE  # ids are given once and are 16 bits on the wire, where 0xFFFF is no group
SECRET_BYTES_MIN: Final = 16  # a shared secret shorter than this is guessed, not shared
SECRET_BYTES_MAX: Final = 4 * KIB

# A client's connection.
INLINE_BYTES_MAX: Final = 64 * KIB  # Redis's PROTO_INLINE_MAX_SIZE
COMMAND_ARGUMENTS_MAX: Final = MIB  # Redis's own limit of arguments in one command
READ_BYTES: Final = 256 * KIB  # one recv of a client's or a peer's socket
ROUND_COMMANDS_MAX: Final = 16 * KIB  # commands a connection may have out at once
VALUE_BYTES_MAX: Final = 512 * MIB  # Redis's own limit of one string

TRANSACTION_BYTES_MAX: Final = (
    64 * MIB
)  # what MULTI queues, or WATCH holds: it is one entry, applied in one go
TRANSACTION_COMMANDS_MAX: Final = 128 * KIB  # a node does nothing else while it applies them

REQUEST_BYTES_MAX: Final = GIB  # the most `client_query_buffer_limit` may be: one command with all it has
ENTRY_BYTES_MAX: Final = 16 * MIB  # the most `entry_bytes_max` may be: what a large command rides with

# Peers.
FRAME_BYTES_MAX: Final = GIB + 64 * MIB  # a whole message put together from its chunks
FORWARDED_REPLY_BYTES_MAX: Final = 768 * MIB  # replies to one part or batch of reads of another node
CHUNK_BYTES: Final = 256 * KIB  # larger messages are cut, so that liveness frames can go between
HANDSHAKE_BYTES_MAX: Final = 64 * KIB
HANDSHAKE_TIMEOUT_MS: Final = 2000
ADMISSION_BYTES_MAX: Final = 4 * MIB  # what a new member is told of its cluster
ADMISSION_TIMEOUT_MS: Final = 10_000  # longer than a cluster needs to find a leader and agree
PUBLISHED_BYTES_MAX: Final = 32 * MIB  # waiting for a peer: beyond it clients' messages to it are dropped
DIAL_BACKOFF_FIRST_MS: Final = 20
DIAL_BACKOFF_LAST_MS: Final = 500

# The node's clockwork.
TICK_MS: Final = 20  # drives every timer of the node; nothing is timed finer
APPLY_SLICE_BYTES: Final = 256 * KIB  # applied before frames are looked at again (whole entries)
EXPIRE_KEYS_MAX: Final = 1000  # keys one expiry entry removes

# The log: space a full disk must still have for terms, votes and the hand-over of leadership.
LOG_EMERGENCY_BYTES: Final = MIB
LOG_RECORD_BYTES_MAX: Final = GIB + 32 * MIB  # one entry

assert PRIMARY_PORT_OFFSET < REPLICA_PORT_OFFSET < PEER_PORT_OFFSET < PORT_MAX
assert CHUNK_BYTES <= FRAME_BYTES_MAX
assert VALUE_BYTES_MAX < FORWARDED_REPLY_BYTES_MAX < FRAME_BYTES_MAX, "any one value can be forwarded"
assert HANDSHAKE_BYTES_MAX <= CHUNK_BYTES, "a handshake is one frame"
assert SECRET_BYTES_MAX < HANDSHAKE_BYTES_MAX
assert REQUEST_BYTES_MAX + ENTRY_BYTES_MAX < LOG_RECORD_BYTES_MAX < FRAME_BYTES_MAX, (
    "what is taken can be sent"
)
assert 2 * TRANSACTION_BYTES_MAX <= REQUEST_BYTES_MAX, "a transaction is taken like any command"
assert DIAL_BACKOFF_FIRST_MS <= DIAL_BACKOFF_LAST_MS
