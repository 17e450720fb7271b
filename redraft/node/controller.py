"""The controller at run time, on whichever node leads the topology group: what to do, what became of it.

Every `controller_interval_ms` the facts are gathered and a plan is made (`control.policy`); its decisions
are put to the topology group as commands, like an operator's, and nothing new is planned until all are
answered.  From there on a decision goes its way without the controller: whoever leads a group brings it to
its placement (`steering`), moves its slots (`moving`), lets the first of its voters lead (`leadership`).
So a controller that dies half-way has left nothing half done, and the next one finds what is left to do.

Every decision is logged with its reason, and the last ones are kept, to be shown.

Must not know what is worth doing: that is `control/`.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from redraft.base.config import Config
from redraft.control.applier import reason_of
from redraft.control.plan import Decision, Kind
from redraft.control.policy import make_plan
from redraft.control.reports import decode_report, encode_report
from redraft.control.thresholds import Thresholds
from redraft.control.topology import TOPOLOGY_GROUP, Command
from redraft.node.gathering import Gathering
from redraft.node.reporting import Reporting
from redraft.node.steering import Change
from redraft.transport.messages import NO_GROUP, LoadReport

if TYPE_CHECKING:
    from redraft.node.clock import Clock
    from redraft.node.node import Node

REPORT_MS: Final = 1000.0
"""How often a node tells of its load."""
KEPT: Final = 64
"""Decisions that are kept to be shown."""

log = logging.getLogger("redraft.node")


@dataclass(slots=True)
class Taken:
    """A decision that was put to the topology group."""

    decision: Decision
    wall_ms: float
    outcome: str = "asked"
    """`asked`, `done` (the topology says so now), or why it was refused."""


class Controller:
    """One node's part in it: it reports always, and decides while it leads the topology group."""

    __slots__ = (
        "_asked",
        "_clock",
        "_gathering",
        "_looked_ms",
        "_node",
        "_reported_ms",
        "_reporting",
        "_taken",
    )

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._reporting = Reporting(node, clock)
        self._gathering = Gathering(node)
        self._reported_ms = self._looked_ms = 0.0
        self._asked = 0
        self._taken: deque[Taken] = deque(maxlen=KEPT)

    # ---- inputs ----

    def on_report(self, peer: int, message: LoadReport) -> None:
        """A peer tells of its load."""
        try:
            report = decode_report(message.data)
        except msgspec.MsgspecError as error:
            log.warning("node %d: its report can't be read (%s)", peer, error)
            return
        self._gathering.take(peer, report, self._node.now_ms())

    def tick(self, now_ms: float) -> None:
        """Report, and decide, when it is time."""
        if now_ms - self._reported_ms >= REPORT_MS:
            self._reported_ms = now_ms
            self._report(now_ms)
        if now_ms - self._looked_ms >= self._node.config.controller_interval_ms:
            self._looked_ms = now_ms
            self._look(now_ms)

    def _report(self, now_ms: float) -> None:
        node = self._node
        report, leader = self._reporting.measure(now_ms), node.leader_of(TOPOLOGY_GROUP)
        self._gathering.take(node.node_id, report, now_ms)
        if leader and leader != node.node_id:
            node.send(leader, NO_GROUP, LoadReport(encode_report(report)))

    # ---- deciding ----

    @property
    def decides(self) -> bool:
        """Whether it is this node that decides."""
        return self._node.replicas[TOPOLOGY_GROUP].proposes and not self._node.stopping

    def _look(self, now_ms: float) -> None:
        if not self.decides:
            self._gathering.forget()
            return
        facts = self._gathering.facts(now_ms)  # also while it is switched off: so it goes on watching
        if self._node.config.controller and not self._asked:
            for decision in make_plan(facts, thresholds_of(self._node.config)).decisions:
                self._carry_out(decision)

    def _carry_out(self, decision: Decision) -> None:
        command = decision.action
        taken = self._take(decision)
        objection = self._node.objection(command)
        if objection is not None:
            self._answered(taken, objection.reason)
        else:
            self._put(command, taken)

    def _take(self, decision: Decision) -> Taken:
        """Log and keep a decision; one that was made just before and came to nothing is not told again."""
        wall_ms = self._clock.wall_ms()
        for known in self._taken:
            if known.decision.action == decision.action and known.outcome not in ("asked", "done"):
                known.wall_ms = wall_ms
                return known
        log.info("controller: %s: %s", decision.kind, decision.reason)
        taken = Taken(decision, wall_ms)
        self._taken.append(taken)
        return taken

    def _put(self, command: Command, taken: Taken) -> None:
        self._asked += 1

        def then(reply: bytes) -> None:
            self._asked -= 1
            self._answered(taken, reason_of(reply))

        self._node.submit(Change(command, then))

    def _answered(self, taken: Taken, refusal: str | None) -> None:
        outcome = refusal or "done"
        if refusal and outcome != taken.outcome:
            log.info("controller: refused: %s (%s)", refusal, taken.decision.reason)
        taken.outcome = outcome

    # ---- what it tells ----

    def status(self) -> dict[str, Any]:
        """What it would do now, what it puts off, and what it did lately, in JSON's types."""
        node = self._node
        status: dict[str, Any] = {
            "node": node.node_id,
            "leader": node.leader_of(TOPOLOGY_GROUP),
            "decides": self.decides,
            "on": node.config.controller,
            "off": list(node.config.controller_off),
            "decisions": [_shown(each.decision) | _fate(each) for each in self._taken],
        }
        if not self.decides:
            return status
        facts = self._gathering.facts(node.now_ms())
        thresholds = thresholds_of(node.config)
        plan = make_plan(facts, thresholds)
        return status | {
            "plan": [_shown(decision) for decision in plan.decisions],
            "held": list(plan.held),
            "nodes": msgspec.to_builtins(list(facts.nodes.values())),
            "groups": msgspec.to_builtins(list(facts.groups.values())),
            "thresholds": msgspec.to_builtins(thresholds) | {"switched_off": sorted(thresholds.switched_off)},
        }


def thresholds_of(config: Config) -> Thresholds:
    """The thresholds that follow from a node's settings."""
    return Thresholds(
        switched_off=frozenset(map(Kind, config.controller_off)),
        dead_after_ms=float(config.controller_dead_node_ms),
        restores_at_once=config.controller_restores_at_once,
        changes_at_once=config.controller_changes_at_once,
        busy_cpu=config.controller_busy_percent / 100,
    )


def _shown(decision: Decision) -> dict[str, Any]:
    action = decision.action
    return {
        "kind": str(decision.kind),
        "action": type(action).__name__,
        "what": msgspec.structs.asdict(action),
        "reason": decision.reason,
    }


def _fate(taken: Taken) -> dict[str, Any]:
    return {"wall_ms": round(taken.wall_ms), "outcome": taken.outcome}
