"""Ratios of times, from sides whose times are known."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from benchmarks.core.growth import exponent
from benchmarks.core.timing import Pace, Race, clocked, race


def told(log: list[str], name: str, seconds: Iterator[float]) -> Callable[[], float]:
    """A side with these times, which notes that it was called."""

    def side() -> float:
        log.append(name)
        return next(seconds)

    return side


def test_the_ratio_is_that_of_the_least_times() -> None:
    times = Race(np.array([1.0, 2.0, 4.0]), np.array([6.0, 6.0, 6.0]))
    assert times.ratio == 6.0
    assert times.spread == pytest.approx((1.8, 5.4))  # of 1.5, 3 and 6


def test_who_goes_first_alternates_and_the_times_stay_with_their_side() -> None:
    log: list[str] = []
    times = race(
        told(log, "ours", iter([1.0, 2.0, 3.0])), told(log, "theirs", iter([10.0, 20.0, 30.0])), Pace(0.0, 3, 1)
    )
    assert log == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    np.testing.assert_array_equal(times.ours, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(times.theirs, [10.0, 20.0, 30.0])


def test_a_side_begins_rested() -> None:
    ended = time.perf_counter()
    breaks: list[float] = []

    def side() -> float:
        nonlocal ended
        breaks.append(time.perf_counter() - ended)
        ended = time.perf_counter()
        return 1.0

    race(side, side, Pace(0.0, 2, 1, rest=0.01))
    assert len(breaks) == 4
    assert min(breaks) >= 0.01


def test_short_work_is_repeated() -> None:
    calls: list[None] = []
    side = clocked(lambda: calls.append(None), least=1e-3)
    before = len(calls)
    seconds = side()
    assert len(calls) - before > 10
    assert seconds < 1e-3


def test_the_exponent_of_a_power_law() -> None:
    sizes = np.array([4, 8, 16, 32])
    assert exponent(sizes, 3e-6 * sizes**1.7) == pytest.approx(1.7)
