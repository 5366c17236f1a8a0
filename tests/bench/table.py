"""What the bench measured: one row a figure, with what it is compared to, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure: the median of `samples` in `unit`.

    `base` is what was measured beside it in the same run, None where the figure is a ratio already (round trips, share
    of a core). A figure says little by itself, since machines and their other work differ; the ratio says more.
    """

    section: str
    name: str
    unit: str
    samples: tuple[float, ...]
    base: str | None = None
    base_samples: tuple[float, ...] = ()
    note: str = ""
    by_median: bool = False

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def base_value(self) -> float | None:
        return statistics.median(self.base_samples) if self.base_samples else None

    @property
    def ratio(self) -> float | None:
        """How many times the base; the best runs are compared, since other work on the machine only adds.

        `by_median`: chance is part of what is measured (lost packets), and the medians are compared.
        """
        if self.by_median:
            return self.value / self.base_value if self.base_value else None
        return min(self.samples) / min(self.base_samples) if self.base_samples and min(self.base_samples) > 0 else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "section": self.section,
            "name": self.name,
            "unit": self.unit,
            "value": _rounded(self.value),
            "samples": [_rounded(sample) for sample in self.samples],
            "base": self.base,
            "base_value": _rounded(self.base_value),
            "base_samples": [_rounded(sample) for sample in self.base_samples],
            "ratio": _rounded(self.ratio),
            "note": self.note,
        }


@dataclass
class Table:
    """All rows of a run, in the order they were measured."""

    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        section: str,
        name: str,
        unit: str,
        samples: Sequence[float],
        *,
        base: tuple[str, Sequence[float]] | None = None,
        note: str = "",
        by_median: bool = False,
    ) -> Row:
        """Keep a figure; every sample must have been measured."""
        label, base_samples = base if base is not None else (None, ())
        row = Row(section, name, unit, tuple(samples), label, tuple(base_samples), note, by_median)
        assert row.samples, f"{section}: {name} was not measured"
        assert all(sample >= 0 for sample in (*row.samples, *row.base_samples)), row
        self.rows.append(row)
        return row

    def text(self) -> str:
        """Lay the rows out for a terminal."""
        lines, section = [], None
        for row in self.rows:
            if row.section != section:
                section = row.section
                lines += ["", section]
            spread = f"{min(row.samples):.3g}..{max(row.samples):.3g}" if len(row.samples) > 1 else ""
            beside = ""
            if row.ratio is not None:
                beside = f"{row.ratio:6.2f} x {row.base} ({row.base_value:.3g} {row.unit})"
            figure = f"{row.value:9.3g} {row.unit:<11}"
            lines.append("  ".join((f"  {row.name:<58}", figure, f"{spread:<13}", beside, row.note)).rstrip())
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
        load = [round(value, 2) for value in os.getloadavg()]
        value = {"machine": machine, "load_at_end": load, "rows": [row.as_dict() for row in self.rows]}
        path.write_text(json.dumps(value, indent=2) + "\n")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
