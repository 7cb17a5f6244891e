import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.anomaly import ALL, TAIL, ScoreQuantiles
from core.errors import InvalidParameter

fractions = st.floats(1e-6, 0.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), fractions)
@settings(deadline=None)
def test_thresholds_are_numpys_quantiles(scores, contamination):
    assert ScoreQuantiles.from_scores(scores).threshold(contamination) == np.quantile(scores, 1 - contamination)


@given(st.integers(0, 1000), fractions)
@settings(max_examples=30, deadline=None)
def test_the_upper_tail_of_many_scores_is_exact(seed, contamination):
    scores = np.random.default_rng(seed).gamma(2.0, size=30_000)
    summary = ScoreQuantiles.from_scores(scores)
    assert summary.values.size == summary.levels.size == ALL
    threshold, exact = summary.threshold(contamination), np.quantile(scores, 1 - contamination)
    if contamination < (TAIL - 1) / 30_000:
        assert threshold == exact
    else:
        # Between kept ranks, five apart here: within their values.
        ordered = np.sort(scores)
        rank = np.searchsorted(ordered, exact)
        assert ordered[rank - 6] <= threshold <= ordered[rank + 6]


@pytest.mark.parametrize("n", [ALL, ALL + 1, 12_345, 2_000_000])
def test_summary_is_bounded_and_ordered(n):
    summary = ScoreQuantiles.from_scores(np.random.default_rng(0).normal(size=n))
    assert summary.values.size <= ALL
    assert (np.diff(summary.levels) > 0).all()
    assert (np.diff(summary.values) >= 0).all()
    assert summary.levels[-1] == n - 1
    thresholds = [summary.threshold(c) for c in (0.5, 0.3, 0.1, 0.01, 1e-4)]
    assert thresholds == sorted(thresholds)


def test_the_threshold_flags_the_stated_share():
    scores = np.random.default_rng(1).normal(size=1000)
    assert (scores > ScoreQuantiles.from_scores(scores).threshold(0.04)).sum() == 40


def test_infinite_scores_do_not_make_nan():
    summary = ScoreQuantiles.from_scores([0.0, 1.0, np.inf, np.inf])
    assert summary.threshold(1e-3) == np.inf
    assert summary.threshold(0.5) == np.inf
    assert ScoreQuantiles.from_scores([0.0, 1.0, 2.0, np.inf]).threshold(1 / 3) == pytest.approx(2.0)


@pytest.mark.parametrize("contamination", [0, -0.1, 0.51, 1, np.nan, True, "0.1", None])
def test_wrong_contaminations_are_refused(contamination):
    with pytest.raises(InvalidParameter) as refused:
        ScoreQuantiles.from_scores([1.0, 2.0]).threshold(contamination)
    assert refused.value.name == "contamination"


@pytest.mark.parametrize("scores", [[], [1.0, np.nan]])
def test_scores_that_have_no_quantiles_are_refused(scores):
    with pytest.raises(InvalidParameter) as refused:
        ScoreQuantiles.from_scores(scores)
    assert refused.value.name == "scores"
