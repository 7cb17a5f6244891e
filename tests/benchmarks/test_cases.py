"""A line of the report says what was compared, or why there is nothing to say."""

import numpy as np
import pytest

from benchmarks.core.cases import Case, Disagreement, Figure, agree, at_least, at_most, measured


def never() -> Figure:
    raise AssertionError("a peer that is missing must not be measured")


def different() -> Figure:
    agree("means", [1.0, 2.0], [1.0, 2.1], 1e-9)
    return Figure(1.0, 1.0, 1.0, "ms")


def broken() -> Figure:
    raise ZeroDivisionError("so it is")


def test_answers_agree_relative_to_the_largest() -> None:
    assert agree("means", [100.0, 1.0], [100.0, 1.0 + 1e-8], 1e-9) == "means within 1e-10"
    with pytest.raises(Disagreement, match=r"means by 1\.0e-08"):
        agree("means", [1.0 + 1e-8], [1.0], 1e-9)


@pytest.mark.parametrize("ours", [[np.nan, 1.0], [1.0]])
def test_answers_that_are_no_numbers_or_too_few_do_not_agree(ours: list[float]) -> None:
    with pytest.raises(Disagreement):
        agree("means", ours, [1.0, 1.0], 1.0)


def test_a_missing_peer_is_not_measured() -> None:
    line = measured(Case("group", "name", "no-such-distribution", never, at_least(2)))
    assert (line.word, line.failed, line.met) == ("not installed", False, None)


def test_different_answers_have_no_times() -> None:
    line = measured(Case("group", "name", "scikit-learn", different, at_least(0)))
    assert line.figure is None
    assert line.failed
    assert "means by" in line.word


def test_a_broken_measure_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    line = measured(Case("group", "name", "scikit-learn", broken))
    assert line.failed
    assert line.word == "failed: ZeroDivisionError: so it is"
    assert "in broken" in capsys.readouterr().err


def test_goals_bound_the_figure_from_their_side() -> None:
    figure = Figure(64.0, 64.0, 400.0, "MiB")
    for goal, met in ((at_most(64), True), (at_most(63), False), (at_least(64), True), (at_least(65), False)):
        assert measured(Case("group", "name", "scikit-learn", lambda: figure, goal)).met is met
