"""Two sides in turn, and the ratio of their times."""

__all__ = ["Pace", "Race", "Side", "clocked", "race"]

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Does a piece of work and returns its seconds.
Side = Callable[[], float]

ROUNDS_MAX = 200
SPREAD = (0.1, 0.9)


class Pace(NamedTuple):
    """How long a line goes on: for so many seconds, but so many rounds at least; for whole fits, seeds.

    Each side is let rest for `rest` seconds before it begins: the threads of BLAS spin for a tenth of a second after
    a product, and those that one side has used would compute against the other.
    """

    seconds: float
    rounds: int
    seeds: int
    rest: float = 0.0


@dataclass(frozen=True)
class Race:
    """Seconds a round of both sides, (rounds,)."""

    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """Their least time over our least: what disturbs a round only adds to it."""
        return float(self.theirs.min() / self.ours.min())

    @property
    def spread(self) -> tuple[float, float]:
        """Within these are the ratios of eight rounds in ten."""
        low, high = np.quantile(self.theirs / self.ours, SPREAD)
        return float(low), float(high)


def race(ours: Side, theirs: Side, pace: Pace) -> Race:
    """Rounds of both sides; who goes first alternates."""
    times: list[tuple[float, float]] = []
    began = time.perf_counter()

    def rested(side: Side) -> float:
        time.sleep(pace.rest)
        return side()

    while len(times) < ROUNDS_MAX:
        if len(times) % 2:
            second = rested(theirs)
            times.append((rested(ours), second))
        else:
            first = rested(ours)
            times.append((first, rested(theirs)))
        if len(times) >= pace.rounds and time.perf_counter() - began > pace.seconds:
            break
    of_ours, of_theirs = np.array(times).T
    return Race(of_ours, of_theirs)


def clocked(work: Callable[[], object], least: float = 5e-3) -> Side:
    """A side that repeats the work for at least so many seconds, and tells those of one repetition."""
    work()
    began = time.perf_counter()
    work()
    repeats = 1 + int(least / (time.perf_counter() - began))

    def side() -> float:
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - began) / repeats

    return side
