"""A line of the report: what it is called, what its goal is, and what was measured."""

__all__ = ["Case", "Disagreement", "Figure", "Goal", "Line", "agree", "at_least", "at_most", "measured", "ratio"]

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.core.peers import installed
from benchmarks.core.timing import Race


class Disagreement(Exception):
    """The sides answer differently: their times are not comparable."""


@dataclass(frozen=True)
class Goal:
    """A bound of a figure."""

    bound: float
    sign: str

    def met(self, value: float) -> bool:
        """Whether the figure keeps it."""
        return bool(value >= self.bound if self.sign == "≥" else value <= self.bound)

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """For what should be large."""
    return Goal(bound, "≥")


def at_most(bound: float) -> Goal:
    """For what should be small."""
    return Goal(bound, "≤")


@dataclass(frozen=True)
class Figure:
    """What a line is about, `value`; both sides in their unit; the spread of the value; how the answers compare."""

    value: float
    ours: float
    theirs: float
    unit: str
    spread: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A figure to be measured against a peer, named as its distribution is; a word where there is no figure."""

    group: str
    name: str
    peer: str
    measure: Callable[[], Figure | str]
    goal: Goal | None = None


@dataclass(frozen=True)
class Line:
    """A case with its figure, or with a word why there is none; `failed` where there should have been one.

    `seconds` is how long all of it took.
    """

    case: Case
    figure: Figure | None
    word: str = ""
    failed: bool = False
    seconds: float = 0.0

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal or a figure."""
        if self.figure is None or self.case.goal is None:
            return None
        return self.case.goal.met(self.figure.value)


def measured(case: Case) -> Line:
    """Measures a case; a failure is a line too, since those after it do not depend on it."""
    began = time.perf_counter()
    return replace(line_of(case), seconds=time.perf_counter() - began)


def line_of(case: Case) -> Line:
    """The line without the time that it took."""
    if not installed(case.peer):
        return Line(case, None, "not installed")
    try:
        figure = case.measure()
    except Disagreement as error:
        return Line(case, None, f"answers differ: {error}", failed=True)
    except Exception as error:
        traceback.print_exc()
        return Line(case, None, f"failed: {type(error).__name__}: {error}", failed=True)
    return Line(case, None, figure) if isinstance(figure, str) else Line(case, figure)


def ratio(of: Race, unit: str = "ms", note: str = "") -> Figure:
    """Their time over ours."""
    size = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    return Figure(of.ratio, float(of.ours.min() * size), float(of.theirs.min() * size), unit, of.spread, note)


def agree(what: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float) -> str:
    """Refuses answers that differ by more than the tolerance, relative to the largest; says by how much they do."""
    a: Any = np.asarray(ours, dtype=np.float64)
    b: Any = np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape:
        raise Disagreement(f"{what} of shapes {a.shape} and {b.shape}")
    difference = float(np.abs(a - b).max() / max(float(np.abs(b).max()), np.finfo(float).tiny))
    if not difference <= tolerance:
        raise Disagreement(f"{what} by {difference:.1e}, more than {tolerance:.0e}")
    return f"{what} within {difference:.0e}"
