"""The kinds of failure the project knows: bad configuration, a broken world, a bug of ours.

What a *client* did wrong is never an exception that crosses a layer: it is a reply
(`redraft.commands.reply`).  A bug of ours is an assertion.  What stands here is the rest: things an
operator has to hear of, each with one sentence that says what to do next.
"""

from __future__ import annotations


class RedraftError(Exception):
    """Base of all errors an operator is shown; `str(error)` is one clear sentence."""


class ConfigError(RedraftError):
    """A setting, or a combination of settings, that can't be served."""


class DirectoryError(RedraftError):
    """A data directory that is in use, belongs to another cluster or node, or can't be written."""


class AddressError(RedraftError):
    """An address that is in use or can't be bound."""


class DamagedError(RedraftError):
    """Bytes on disk that were synced and are wrong now; names file, offset and, where known, the group."""


class StorageFailedError(RedraftError):
    """A write or fdatasync that failed: what was not synced can't be trusted, so the node stops."""


class PeerRefusedError(RedraftError):
    """A peer whose handshake is refused: wrong secret, another cluster, or not a member's identity."""


class RemovedError(RedraftError):
    """This node is no member of its cluster any more, by its operator's wish."""
