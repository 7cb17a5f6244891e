"""The report: a table as it grows, and the whole of it as JSON."""

__all__ = ["as_json", "heading", "row"]

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.core.cases import Line
from benchmarks.core.peers import versions
from benchmarks.core.settings import THREADS

ROOT = Path(__file__).parents[2]


def heading(group: str) -> str:
    """What a group's columns are."""
    columns = f"{'peer':<12} {'theirs':>10} {'ours':>10} {'':<4} {'figure':>8}  {'of 8 in 10':<13} {'goal':<8} {'':<6}"
    return f"\n{group:<42} {columns} answers"


def row(line: Line) -> str:
    """One line of the table."""
    case, figure = line.case, line.figure
    start = f"{case.name:<42} {case.peer:<12}"
    goal = "" if case.goal is None else str(case.goal)
    if figure is None:
        return f"{start} {line.word}" + (f"  (goal {goal})" if goal else "")
    met = {True: "met", False: "MISSED", None: ""}[line.met]
    spread = "" if figure.spread is None else f"{number(figure.spread[0])} – {number(figure.spread[1])}"
    sides = f"{number(figure.theirs):>10} {number(figure.ours):>10} {figure.unit:<4}"
    return f"{start} {sides} {number(figure.value):>8}  {spread:<13} {goal:<8} {met:<6} {figure.note}"


def number(value: float) -> str:
    """Three digits or so."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def as_json(lines: list[Line], quick: bool, seconds: float) -> dict[str, Any]:
    """Where and when it was measured, and all lines."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": processor(),
        "threads": THREADS,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
        "quick": quick,
        "seconds": round(seconds, 1),
        "lines": [entry(line) for line in lines],
    }


def entry(line: Line) -> dict[str, Any]:
    """One line."""
    case, figure = line.case, line.figure
    named: dict[str, Any] = {
        "group": case.group,
        "case": case.name,
        "peer": case.peer,
        "goal": case.goal and str(case.goal),
    }
    named["seconds"] = round(line.seconds, 1)
    if figure is None:
        return named | {"word": line.word, "failed": line.failed}
    return named | {
        "met": line.met,
        "value": figure.value,
        "spread": figure.spread,
        "ours": figure.ours,
        "theirs": figure.theirs,
        "unit": figure.unit,
        "answers": figure.note,
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((name.partition(":")[2].strip() for name in names if name.startswith("model name")), platform.machine())


def commit() -> str | None:
    """The sources' commit, with a mark when they were changed since; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return ran.stdout.strip()
