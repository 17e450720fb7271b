"""Slots go from groups that hold, or are asked, too much to groups with little.

A group gives when it has a *surplus*: more than `surplus` times the mean in some measure.  It gives down to
the mean, to groups that stay below `fill` times the mean in every measure.  A *light* group, below `deficit`
times the mean in every measure (a new one, say), is filled by the heaviest, which keep `lean` times the mean.
So no move makes a surplus or a light group: what was given does not come back, and changes of load that stay
within the gap between the thresholds move nothing.

Nothing is weighed while some group is unknown, and groups whose slots have only just changed are left alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from redraft.control.choosing import Choice, Weight, portion, slot_count, smallest
from redraft.control.plan import Decision, Found, Kind
from redraft.control.scene import Scene
from redraft.control.slotmoves import GroupRecord, MoveSlots
from redraft.control.weights import Weights, shown, steady, weigh

NO_CAP: Final = (float("inf"), float("inf"), float("inf"))

TARGETS_TRIED: Final = 8
"""Groups, the lightest first, that slots of one group are offered to before it is left as it is."""


class Wish(NamedTuple):
    """So much of a measure should go from one group to another."""

    source: int
    target: int
    measure: int
    amount: float


def move_slots(scene: Scene) -> Found:
    """Moves from the groups with the largest surplus, or to those that are light."""
    weights = weigh(scene)
    if weights is None:
        return Found((), ["groups are not compared: not all of them are known."])
    decisions = []
    while scene.room > 0:
        found = _from_surplus(scene, weights) or _to_light(scene, weights)
        if found is None:
            break
        wish, choice = found
        decisions.append(_moved(weights, wish, choice))
        weights.moved(wish.source, wish.target, choice.weight)
        nodes = {*scene.by_id[wish.source].voters, *scene.by_id[wish.target].voters}
        scene.occupy(nodes, wish.source, wish.target)
    return Found(decisions)


def _from_surplus(scene: Scene, weights: Weights) -> tuple[Wish, Choice] | None:
    limits = scene.thresholds
    over = [
        (weights.ratio(group, measure), -measure, -group)
        for group in weights.by_group
        for measure in weights.measures
        if weights.ratio(group, measure) > limits.surplus
        and weights.above(group, measure) >= weights.least[measure]
    ]
    targets = _targets(scene, weights) if over else []
    for _ratio, minus_measure, minus_group in sorted(over, reverse=True):
        source, measure = -minus_group, -minus_measure
        spare = weights.above(source, measure)
        found = _first_fit(scene, weights, source, measure, spare, limits.fill, targets)
        if found is not None:
            return found
    return None


def _to_light(scene: Scene, weights: Weights) -> tuple[Wish, Choice] | None:
    limits = scene.thresholds
    light = [
        group
        for group in _targets(scene, weights)
        if weights.heaviest(group) < limits.deficit
        and any(-weights.above(group, measure) >= weights.least[measure] for measure in weights.measures)
    ]
    if not light:
        return None
    heavy = sorted(
        (
            (weights.ratio(group, measure), -measure, -group)
            for group in weights.by_group
            for measure in weights.measures
        ),
        reverse=True,
    )
    for ratio, minus_measure, minus_group in heavy:
        source, measure = -minus_group, -minus_measure
        if ratio <= 1:
            break
        spare = weights.by_group[source][measure] - limits.lean * weights.means[measure]
        found = _first_fit(scene, weights, source, measure, spare, 1.0, light)
        if found is not None:
            return found
    return None


def _targets(scene: Scene, weights: Weights) -> list[int]:
    """Groups that could be given slots, the lightest first."""
    fit = [record.group_id for record in scene.groups if _may_receive(scene, record)]
    return sorted(fit, key=lambda group: (weights.heaviest(group), group))


def _may_receive(scene: Scene, record: GroupRecord) -> bool:
    if not steady(scene, record) or not scene.able.issuperset(record.voters):
        return False
    return record.voters[0] in scene.cool and scene.facts.groups[record.group_id].leader in scene.cool


def _first_fit(
    scene: Scene, weights: Weights, source: int, measure: int, spare: float, full: float, targets: list[int]
) -> tuple[Wish, Choice] | None:
    """The first of the targets that the source can give something worth a move, and what.

    Only some of the lightest are tried: where those have no room for a slot of the source, others have less.
    """
    record = scene.by_id[source]
    if not steady(scene, record) or spare < smallest(record.slots, scene.facts.groups[source], measure):
        return None
    for target in targets[:TARGETS_TRIED]:
        amount = min(spare, weights.room(target, measure, full))
        if target == source or amount < weights.least[measure] / 2:
            continue
        wish = Wish(source, target, measure, amount)
        caps = _caps(scene, weights, target)
        choice = portion(record.slots, scene.facts.groups[source], measure, amount, caps, scene.thresholds)
        if choice.weight[measure] >= weights.least[measure] / 4:
            return wish, choice
    return None


def _caps(scene: Scene, weights: Weights, target: int) -> Weight:
    """How much more the target may have in each measure that counts."""
    caps = [*NO_CAP]
    for measure in weights.measures:
        caps[measure] = weights.room(target, measure, scene.thresholds.fill)
    return caps[0], caps[1], caps[2]


def _moved(weights: Weights, wish: Wish, choice: Choice) -> Decision:
    measure, source, target = wish.measure, wish.source, wish.target
    mean = weights.means[measure]
    reason = (
        f"group {source} has {shown(weights.by_group[source][measure], measure)}, "
        f"{weights.ratio(source, measure):.2f} times the mean of {shown(mean, measure)}: "
        f"{slot_count(choice.slots)} slots with {shown(choice.weight[measure], measure)} go to group "
        f"{target}, which has {shown(weights.by_group[target][measure], measure)}"
    )
    return Decision(Kind.SLOTS, MoveSlots(choice.slots, source, target), reason)
