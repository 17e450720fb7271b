"""The controller's thresholds: when it acts, how much it does at once, when it leaves things alone.

What keeps it from moving things to and fro is a gap between two of these: it begins to act beyond one and
never brings anything further than the other (`surplus` and `fill`, `deficit` and `lean`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redraft.base.limits import GIB, GROUPS_MAX, MIB
from redraft.control.plan import Kind

MINUTE_MS: Final = 60_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Every number the policy goes by; bad combinations raise ValueError with a sentence."""

    switched_off: frozenset[Kind] = frozenset()
    """Kinds of decisions that are not made."""

    dead_after_ms: float = 5 * MINUTE_MS
    """A node that has not answered for so long is taken to be gone: its replicas are made anew elsewhere.
    Longer than a restart or a reboot, as each replica made anew costs a snapshot."""

    restores_at_once: int = 4
    """Restoring goes on while fewer groups than this are moving."""

    changes_at_once: int = 1
    """Other risky changes (groups that move, moves of slots, splits) are begun while fewer than this are
    under way.  Two of them never share a node, however many are allowed."""

    leader_changes_at_once: int = 4
    """Preferred leaders changed by one plan: each costs its group one hand-over."""

    busy_cpu: float = 0.75
    """With this share of its core in use a node is under load: it receives nothing but what must be restored.
    When the living nodes are so on average, nothing is done but restoring."""

    replicas_apart: int = 2
    """Replicas are spread when two nodes' numbers are this far apart; below 2 they would go to and fro."""

    leaders_apart: int = 2
    """Preferred leaders are spread when two nodes' numbers are this far apart."""

    surplus: float = 1.5
    """A group with more than this many times the mean (of bytes, requests or keys) gives slots away."""

    fill: float = 1.25
    """A group that receives slots is filled to this many times the mean at most, in every measure."""

    deficit: float = 0.5
    """A group below this many times the mean in every measure is light (it may be new): it is given slots."""

    lean: float = 0.75
    """A group that gives to a light one keeps this many times the mean."""

    least_bytes: float = 64 * MIB
    """Differences from the mean smaller than this are not worth a move."""

    least_requests: float = 1000.0
    """As `least_bytes`, in requests per second."""

    least_keys: float = 100_000.0
    """As `least_bytes`, in keys."""

    steady_after_ms: float = MINUTE_MS
    """A group's size and rates count once its slots have been the same for so long."""

    slots_per_move_max: int = 1024
    """Slots that one move takes: what has been moved already is not lost when a move is given up."""

    bytes_per_move_max: float = 1 * GIB
    """Bytes that one move takes, but always one slot."""

    split_bytes: float = 8 * GIB
    """A group this large is split, if there are nodes with few groups."""

    split_requests: float = 50_000.0
    """A group with so many requests per second is split, if there are nodes with few groups: its leader is
    one process on one core."""

    groups_led_max: int = 4
    """A node that should lead this many groups takes on no new group by a split."""

    groups_max: int = GROUPS_MAX
    """Groups are split only while there are fewer than this."""

    def __post_init__(self) -> None:
        for name in ("restores_at_once", "changes_at_once", "leader_changes_at_once", "slots_per_move_max"):
            _demand(getattr(self, name) >= 1, f"{name} must be 1 or more; to stop a kind, switch it off.")
        for name in ("replicas_apart", "leaders_apart"):
            _demand(getattr(self, name) >= 2, f"{name} below 2 would move things to and fro for ever.")
        _demand(
            1 < self.fill < self.surplus, "fill must lie between 1 and surplus, or slots would come back."
        )
        _demand(
            0 <= self.deficit < self.lean <= 1,
            "lean must lie between deficit and 1, or slots would come back.",
        )
        _demand(0 < self.busy_cpu <= 1, "busy_cpu is a share of a core: between 0 and 1.")
        _demand(self.dead_after_ms > 0, "dead_after_ms must be more than 0.")


def _demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)
