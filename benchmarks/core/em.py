"""EM: time an iteration, against scikit-learn in either precision and against pomegranate."""

__all__ = ["cases", "compared", "iterations"]

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from benchmarks.core.cases import Case, Figure, Goal, agree, at_least, ratio
from benchmarks.core.data import blobs
from benchmarks.core.mixtures import Answers, Ours, ScikitLearn, start
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace, Side, race

GOALS = [
    (Shape(100_000, 16, 16), "full", 15),
    (Shape(100_000, 16, 16), "diag", 7),
    (Shape(100_000, 16, 16), "tied", 30),
    (Shape(100_000, 16, 16), "spherical", 8),
    (Shape(1_000_000, 8, 8), "full", 20),
    (Shape(1_000_000, 8, 8), "diag", 10),
    (Shape(20_000, 64, 32), "full", 5.5),
    (Shape(50_000, 2, 5), "full", 12),
    (Shape(1_000, 4, 3), "full", 3),
]
POMEGRANATE = [Shape(100_000, 16, 16), Shape(1_000_000, 8, 8), Shape(20_000, 64, 32)]

# Bounds and parameters of the first two iterations, relative to the largest: they differ by summation alone.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}

# Short iterations are timed in a row, as many as take this long.
SECONDS, ITERATIONS = 0.05, 20


class Fit(Protocol):
    """A fit that goes on by an iteration when told to."""

    def iterate(self) -> None:
        """One E-step and one M-step."""

    def answers(self) -> Answers:
        """What was reached, by name."""


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    for goal_shape, structure, goal in GOALS:
        yield case(settings, goal_shape, structure, "float64", at_least(goal))
    for goal_shape in POMEGRANATE:
        shape = settings.shape(goal_shape)
        measure = partial(against_pomegranate, shape, settings.pace)
        yield Case("EM, an iteration, float64", f"full, {shape}", "pomegranate", measure, at_least(2))
    for goal_shape, structure, _ in GOALS:
        yield case(settings, goal_shape, structure, "float32", None)


def case(settings: Settings, goal_shape: Shape, structure: str, dtype: str, goal: Goal | None) -> Case:
    """A line against scikit-learn."""
    shape = settings.shape(goal_shape)
    measure = partial(against_scikit_learn, shape, structure, dtype, settings.pace)
    return Case(f"EM, an iteration, {dtype}", f"{structure}, {shape}", "scikit-learn", measure, goal)


def against_scikit_learn(shape: Shape, structure: str, dtype: str, pace: Pace) -> Figure:
    """Both from the same parameters, given rows of the same dtype."""
    X = blobs(shape, dtype).X
    begin = start(shape, structure, dtype)
    return compared(lambda: Ours(X, begin), lambda: ScikitLearn(X, begin), TOLERANCE[dtype], pace)


def against_pomegranate(shape: Shape, pace: Pace) -> Figure:
    """Both from the same parameters; pomegranate has no `reg_covar`, so ours is 0."""
    from benchmarks.core.pomegranate import Pomegranate  # its torch takes seconds to load, and may be absent

    X = blobs(shape).X
    begin = start(shape, "full", "float64")._replace(reg_covar=0.0)
    return compared(lambda: Ours(X, begin), lambda: Pomegranate(X, begin), TOLERANCE["float64"], pace)


def compared(ours: Callable[[], Fit], theirs: Callable[[], Fit], tolerance: float, pace: Pace) -> Figure:
    """The ratio of an iteration, once two of them have given the same answers."""
    sides = ours(), theirs()
    notes = []
    for _ in range(2):
        for side in sides:
            side.iterate()
        a, b = (side.answers() for side in sides)
        notes = [agree(name, a[name], b[name], tolerance) for name in a]
    return ratio(race(iterations(ours), iterations(theirs), pace), note=notes[0])


def iterations(begin: Callable[[], Fit]) -> Side:
    """Seconds an iteration of a fit begun anew; its first one, which sets the fit up, is let pass."""
    count = 1

    def side() -> float:
        nonlocal count
        fit = begin()
        fit.iterate()
        began = time.perf_counter()
        for _ in range(count):
            fit.iterate()
        seconds = (time.perf_counter() - began) / count
        count = min(1 + int(SECONDS / seconds), ITERATIONS)
        return seconds

    return side
