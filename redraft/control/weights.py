"""What groups weigh, beside each other: sums, means and how far from them a group is.

Pure arithmetic; must not know what follows from a weight.
"""

from __future__ import annotations

from typing import NamedTuple

from redraft.control.choosing import BYTES, MEASURES, Weight, weight_of
from redraft.control.scene import Scene
from redraft.control.slotmoves import GroupRecord


class Weights(NamedTuple):
    """What all groups weigh, and the least difference that counts, by measure."""

    by_group: dict[int, Weight]
    means: Weight
    least: Weight
    measures: tuple[int, ...]
    """Those of which the whole cluster has enough that a difference can count."""

    def ratio(self, group: int, measure: int) -> float:
        """How many times the mean a group has."""
        return self.by_group[group][measure] / self.means[measure]

    def heaviest(self, group: int) -> float:
        """The same in the measure in which it is the most."""
        weight, means = self.by_group[group], self.means
        return max((weight[measure] / means[measure] for measure in self.measures), default=0.0)

    def above(self, group: int, measure: int) -> float:
        """By how much a group is above the mean."""
        return self.by_group[group][measure] - self.means[measure]

    def room(self, group: int, measure: int, fill: float) -> float:
        """How much more a group may have: up to `fill` times the mean, where that is little a bit above it.

        Either is short of what makes a surplus.
        """
        mean = self.means[measure]
        full = max(fill * mean, mean + self.least[measure] / 2)
        return max(0.0, full - self.by_group[group][measure])

    def moved(self, source: int, target: int, weight: Weight) -> None:
        """Enter what a decision moves."""
        for group, sign in ((source, -1), (target, 1)):
            has = self.by_group[group]
            self.by_group[group] = (
                has[0] + sign * weight[0],
                has[1] + sign * weight[1],
                has[2] + sign * weight[2],
            )


def weigh(scene: Scene) -> Weights | None:
    """The weights of all groups; None while some group is unknown, as the means would be wrong."""
    known = scene.facts.groups
    if any(record.group_id not in known for record in scene.groups):
        return None
    limits = scene.thresholds
    by_group = {record.group_id: weight_of(known[record.group_id]) for record in scene.groups}
    count = max(1, len(by_group))
    sums = [sum(weight[at] for weight in by_group.values()) for at in range(len(MEASURES))]
    least = (limits.least_bytes, limits.least_requests, limits.least_keys)
    counting = tuple(at for at in range(len(MEASURES)) if sums[at] > 0 and sums[at] >= least[at])
    return Weights(by_group, (sums[0] / count, sums[1] / count, sums[2] / count), least, counting)


def steady(scene: Scene, record: GroupRecord) -> bool:
    """Whether a group may be changed, and what it is said to weigh is what it weighs now."""
    return (
        scene.free(record)
        and scene.facts.groups[record.group_id].steady_ms >= scene.thresholds.steady_after_ms
    )


def shown(value: float, measure: int) -> str:
    """An amount of a measure, for people."""
    if measure == BYTES:
        return f"{value / (1 << 20):.1f} MiB"
    return f"{value:.0f} {('', 'requests/s', 'keys')[measure]}"
