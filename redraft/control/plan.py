"""What the controller may decide: kinds of decisions, the actions they consist of, each with its reason.

Must not know how a decision is come by, or carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from redraft.base.config import CONTROLLER_KINDS
from redraft.control.groups import SplitGroup
from redraft.control.slotmoves import CancelMove, MoveSlots
from redraft.control.topology import Place


class Kind(StrEnum):
    """Why something is done; each kind can be switched off.  In the order of what comes first."""

    RESTORE = "restore"
    """A replica of a node that is dead for good, or one too few, is made anew elsewhere."""
    DRAIN = "drain"
    """A node is emptied because an operator wants it."""
    REPLICAS = "replicas"
    """Nodes hold unequal numbers of replicas."""
    LEADERS = "leaders"
    """Nodes are the preferred leader of unequal numbers of groups."""
    SLOTS = "slots"
    """Groups differ in what they hold or in what they are asked for."""
    SPLIT = "split"
    """A group is too large, or asked too much, for one leader, or a node leads none."""


assert tuple(Kind) == CONTROLLER_KINDS, "what can be switched off is what there is"


Action = Place | MoveSlots | CancelMove | SplitGroup
"""Commands on the topology as they are."""


class Decision(NamedTuple):
    """One action and the sentence for the log that says why, with the figures."""

    kind: Kind
    action: Action
    reason: str


class Found(NamedTuple):
    """What looking for one kind of thing to do has found."""

    decisions: Sequence[Decision] = ()
    held: Sequence[str] = ()
    """What is put off, and why."""
    urgent: bool = False
    """Nothing else is to be begun before what is put off."""


class Plan(NamedTuple):
    """What to do now, and what is put off and why (for the log and for `redraft` to show)."""

    decisions: tuple[Decision, ...] = ()
    held: tuple[str, ...] = ()
