"""What a benchmark reports: rows with a target or without, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Row:
    """``says`` is what was compared with what. Without ``target`` a row only informs."""

    name: str
    value: float
    unit: str
    says: str
    target: float | None = None
    better: Better = "lower"

    @property
    def ok(self) -> bool:
        if self.target is None:
            return True
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


@dataclass
class Report:
    console: Console
    rows: list[Row] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, says: str, target: float | None = None, better: Better = "lower") -> None:
        row = Row(name, value, unit, says, target, better)
        self.rows.append(row)
        self.console.print(f"  {name}: {_number(value)} {unit}{'' if row.ok else '  [red]missed[/red]'}", highlight=False)

    def table(self) -> Table:
        table = Table(show_lines=False)
        for title, justify in (("row", "left"), ("value", "right"), ("target", "right"), ("", "left"), ("what", "left")):
            table.add_column(title, justify=justify, no_wrap=title != "what")  # type: ignore[arg-type]  # literals
        for row in self.rows:
            sign = "≤" if row.better == "lower" else "≥"
            target = "" if row.target is None else f"{sign} {_number(row.target)}"
            verdict = "" if row.target is None else ("[green]ok[/green]" if row.ok else "[red]missed[/red]")
            table.add_row(row.name, f"{_number(row.value)} {row.unit}".strip(), target, verdict, row.says)
        return table

    def write(self, path: Path) -> None:
        found = {row.name: {"value": row.value, "target": row.target, "unit": row.unit, "ok": row.ok} for row in self.rows}
        path.write_text(json.dumps(found, indent=1) + "\n")


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _number(value: float) -> str:
    if value == 0 or 0.001 <= abs(value) < 100:
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"
