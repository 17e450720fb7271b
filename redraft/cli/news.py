"""What changed from one report to the next, in sentences: nodes lost and found, groups that changed leader.

Pure: reports in, sentences out.  A first report is no news, it is what later ones are held against.
"""

from __future__ import annotations

from redraft.cli.report import Report


class News:
    """Compares each report with what was known before it."""

    def __init__(self) -> None:
        self._alive: dict[int, bool] = {}
        self._leaders: dict[int, int] = {}

    def of(self, report: Report) -> list[str]:
        """Return what is new; a group between two leaders is told once it has the second."""
        return [*self._nodes(report), *self._groups(report)]

    def _nodes(self, report: Report) -> list[str]:
        before, self._alive = self._alive, {row.id: row.alive for row in report.nodes}
        return [
            f"Node {row.id} is {'back' if row.alive else 'out of reach'}"
            for row in report.nodes
            if before.get(row.id, row.alive) != row.alive
        ]

    def _groups(self, report: Report) -> list[str]:
        sentences = []
        for group in report.groups:
            if not group.leader:
                continue
            if self._leaders.get(group.id, group.leader) != group.leader:
                sentences.append(f"Group {group.id} is led by node {group.leader} now (term {group.term})")
            self._leaders[group.id] = group.leader
        return sentences
