"""Medians, ratios to redis-server, the table and the JSON file of a comparison."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from benchmarks.load import Case, Rate

# Ratios to redis-server that the project set itself: (to reach in step 1, the goal), leader-local, 64 B.
AIMS = {("set", 1): (0.22, 0.4), ("set", 16): (0.20, 0.5), ("get", 1): (0.5, 0.9), ("get", 16): (0.35, 0.8)}


class Results:
    """Rates per case and system, one per round; `base` is the system whose rate is 1."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.rates: defaultdict[Case, dict[str, list[Rate]]] = defaultdict(dict)

    def add(self, case: Case, system: str, rate: Rate) -> None:
        self.rates[case].setdefault(system, []).append(rate)

    @property
    def systems(self) -> list[str]:
        seen: dict[str, None] = {}
        for by_system in self.rates.values():
            seen.update(dict.fromkeys(by_system))
        return list(seen)

    def median(self, case: Case, system: str) -> float | None:
        rates = self.rates[case].get(system)
        return statistics.median(rate.rps for rate in rates) if rates else None

    def ratio(self, case: Case, system: str) -> float | None:
        """Median over the rounds of the ratio within a round: what disturbs a round disturbs both."""
        pairs = list(zip(self.rates[case].get(system, []), self.rates[case].get(self.base, []), strict=False))
        return statistics.median(ours.rps / theirs.rps for ours, theirs in pairs) if pairs else None

    def spread(self, case: Case, system: str) -> float:
        """(highest - lowest) / median of the rounds."""
        rates = [rate.rps for rate in self.rates[case].get(system, [])]
        return (max(rates) - min(rates)) / statistics.median(rates) if rates else 0.0

    def table(self, title: str) -> Table:
        table = Table(title=title, title_justify="left", header_style="bold")
        table.add_column("case")
        for system in self.systems:
            table.add_column(system, justify="right")
        for case in self.rates:
            table.add_row(str(case), *(self._cell(case, system) for system in self.systems))
        return table

    def _cell(self, case: Case, system: str) -> str:
        rps = self.median(case, system)
        if rps is None:
            return "-"
        p99 = statistics.median(rate.p99_ms for rate in self.rates[case][system])
        ratio = self.ratio(case, system)
        shown = f"[bold]{ratio:.2f}[/]  " if ratio is not None and system != self.base else ""
        return f"{shown}{_short(rps)}/s\n[dim]p99 {p99:.1f} ms ±{self.spread(case, system) / 2:.0%}[/]"

    def document(self, machine: dict[str, str], parameters: dict[str, object]) -> dict[str, object]:
        rows = [
            {
                **asdict(case),
                "system": system,
                "median_rps": self.median(case, system),
                "ratio": self.ratio(case, system),
                "rounds": [asdict(rate) for rate in rates],
            }
            for case, by_system in self.rates.items()
            for system, rates in by_system.items()
        ]
        return {"machine": machine, "parameters": parameters, "base": self.base, "results": rows}


def write_json(path: Path | None, document: dict[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps(document, indent=1) + "\n")


def _short(rps: float) -> str:
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if rps >= unit:
            return f"{rps / unit:.3g}{suffix}"
    return f"{rps:.0f}"
