"""The seam between one group and the liveness that all groups of a pair of nodes share.

The core asks only when a timer runs out or a vote is asked for, so an idle group costs nothing; and it
tells at once, inside the step that changes term or role, so that a support is withdrawn before anything
of the next term can leave (PROTOCOL.md, "Reads and leases").
"""

from __future__ import annotations

from typing import Protocol

NEVER_MS = float("-inf")


class Contact(Protocol):
    """What the liveness knows about one group on this node, and wants to be told."""

    def leader_heard_ms(self, leader_id: int, term: int) -> float:
        """When that leader's process last vouched for this group in that term; NEVER_MS if it did not."""

    def quorum_heard_ms(self) -> float:
        """Leader: a quorum of voters supports this (group, term) and answered a round sent at this time."""

    def lead(self, term: int) -> None:
        """This node leads the group now."""

    def unlead(self) -> None:
        """This node does not lead the group any more."""

    def withdraw(self) -> None:
        """This node follows no longer the leader it followed."""


class NoContact:
    """No shared liveness: the driver calls `leader_heard` and `quorum_contact` itself."""

    def leader_heard_ms(self, leader_id: int, term: int) -> float:  # noqa: ARG002 - the seam's shape
        return NEVER_MS

    def quorum_heard_ms(self) -> float:
        return NEVER_MS

    def lead(self, term: int) -> None:
        pass

    def unlead(self) -> None:
        pass

    def withdraw(self) -> None:
        pass
