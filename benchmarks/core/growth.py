"""How the time of an iteration grows with n, d and k: exponents of power laws, and a figure of the times."""

__all__ = ["Curve", "cases", "exponent"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.core.cases import Case, Figure
from benchmarks.core.data import blobs
from benchmarks.core.em import iterations
from benchmarks.core.lloyd import lloyd_ours, lloyd_scikit_learn
from benchmarks.core.mixtures import Ours, ScikitLearn, start
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Side, race

BASE = Shape(10_000, 16, 16)
SIZES = {
    "n": (5_000, 10_000, 20_000, 40_000, 80_000),
    "d": (4, 8, 16, 32, 64),
    "k": (4, 8, 16, 32, 64),
}
GROUPS = 128
METHODS = ("EM, full", "EM, diag", "Lloyd")


@dataclass(frozen=True)
class Curve:
    """Seconds an iteration of both sides at each size of one dimension."""

    method: str
    dimension: str
    sizes: Sequence[int]
    ours: Sequence[float]
    theirs: Sequence[float]


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group; the figure is drawn of the curves that were measured before it."""
    curves: list[Curve] = []
    for method in METHODS:
        for dimension in SIZES:
            measure = partial(exponents, method, dimension, settings, curves)
            yield Case("growth of an iteration: exponents", f"{method}, with {dimension}", "scikit-learn", measure)
    yield Case("growth of an iteration: exponents", "figure", "matplotlib", partial(figure, settings.plots, curves))


def exponents(method: str, dimension: str, settings: Settings, curves: list[Curve]) -> Figure:
    """Both exponents; the value is ours."""
    sizes, ours, theirs = [], [], []
    for size in SIZES[dimension][: 2 if settings.quick else None]:
        shape = BASE._replace(**{dimension: size})
        times = race(*sides(method, shape), settings.pace._replace(seconds=settings.pace.seconds / 5))
        sizes.append(size)
        ours.append(float(times.ours.min()))
        theirs.append(float(times.theirs.min()))
    curves.append(Curve(method, dimension, sizes, ours, theirs))
    of_ours, of_theirs = exponent(sizes, ours), exponent(sizes, theirs)
    return Figure(of_ours, of_ours, of_theirs, "", note=f"{dimension} = {', '.join(str(size) for size in sizes)}")


def sides(method: str, shape: Shape) -> tuple[Side, Side]:
    """An iteration of ours and of scikit-learn's."""
    if method == "Lloyd":
        # Of more groups than clusters, so that it does not converge within the iterations timed.
        rows = blobs(shape._replace(k=GROUPS)).X
        init = rows[:: shape.n // shape.k][: shape.k].copy()
        return lloyd_ours(rows, init), lloyd_scikit_learn(rows, init)
    X, begin = blobs(shape).X, start(shape, method.removeprefix("EM, "), "float64")
    return iterations(lambda: Ours(X, begin)), iterations(lambda: ScikitLearn(X, begin))


def exponent(sizes: ArrayLike, seconds: ArrayLike) -> float:
    """The slope of the line of least squares through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def figure(directory: Path, curves: list[Curve]) -> str:
    """Draws the curves."""
    if not curves:
        return "no curve was measured"
    from benchmarks.core.plots import draw  # matplotlib may be absent

    return f"written to {draw(curves, directory)}"
