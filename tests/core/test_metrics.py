import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from core import metrics
from core.errors import InvalidParameter

pairs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.integers(-2, 4), min_size=n, max_size=n) for _ in range(2)),
    )
)


@given(pairs)
@settings(deadline=None)
def test_agreement_is_scikit_learns(labels):
    true, pred = labels
    assert metrics.adjusted_rand_score(true, pred) == pytest.approx(theirs.adjusted_rand_score(true, pred), abs=1e-12)
    assert metrics.normalized_mutual_info_score(true, pred) == pytest.approx(
        theirs.normalized_mutual_info_score(true, pred), abs=1e-9
    )


@given(pairs)
@settings(deadline=None)
def test_error_rate_is_that_of_the_majority_mapping(labels):
    true, pred = labels
    mapping = metrics.majority_mapping(true, pred)
    assert mapping.keys() == set(pred)
    wrong = sum(mapping[p] != t for t, p in zip(true, pred, strict=True))
    assert metrics.error_rate(true, pred) == pytest.approx(wrong / len(true), abs=1e-12)
    for cluster, label in mapping.items():
        members = [t for t, p in zip(true, pred, strict=True) if p == cluster]
        assert members.count(label) == max(members.count(other) for other in members)


def test_ties_of_the_majority_go_to_the_smallest_label():
    assert metrics.majority_mapping([3, 1, 2, 2], [0, 0, 1, 1]) == {0: 1, 1: 2}


def test_adjusted_rand_of_many_rows_does_not_overflow():
    labels = np.repeat([0, 1], 1_000_000)
    assert metrics.adjusted_rand_score(labels, 1 - labels) == 1.0


def test_labels_of_different_lengths_are_refused():
    with pytest.raises(InvalidParameter, match="labels_pred"):
        metrics.adjusted_rand_score([0, 1], [0])
    with pytest.raises(InvalidParameter, match="empty"):
        metrics.error_rate([], [])


def test_criteria():
    assert metrics.aic(-100.0, 5) == 210.0
    assert metrics.bic(-100.0, 5, 100) == pytest.approx(200 + 5 * np.log(100))


def test_icl_is_bic_and_twice_the_entropy(rng):
    resp = rng.dirichlet([0.3, 0.5, 1.0], size=50)
    weight = rng.uniform(0, 2, 50)
    entropy = -sum(w * r * np.log(r) for row, w in zip(resp, weight, strict=True) for r in row)
    plain = metrics.icl(-100.0, 5, 50, resp)
    assert plain > metrics.bic(-100.0, 5, 50)
    assert metrics.icl(-100.0, 5, 50, resp, weight) == pytest.approx(metrics.bic(-100.0, 5, 50) + 2 * entropy)
    assert metrics.icl(-100.0, 5, 50, np.eye(3)[rng.integers(0, 3, 50)]) == metrics.bic(-100.0, 5, 50)
    assert metrics.icl(-1.0, 1, 2, np.full((2, 4), 0.25)) == pytest.approx(metrics.bic(-1.0, 1, 2) + 4 * np.log(4))


def test_icl_completes_the_likelihood(blobs):
    """log p(x) less the entropy is the mean of log p(x, z) under the responsibilities (McLachlan & Peel, eq. 6.68)."""
    from core.estimators import GaussianMixture

    X, _ = blobs(n=300)
    mixture = GaussianMixture(3, random_state=0).fit(X)
    resp = mixture.predict_proba(X)
    joint = np.stack(
        [
            np.log(mixture.weights_[k]) + multivariate_normal(mixture.means_[k], mixture.covariances_[k]).logpdf(X)
            for k in range(3)
        ],
        axis=1,
    )
    completed = float((resp * joint).sum())
    total = mixture.score(X) * 300
    expected = -2 * completed + 29 * np.log(300)
    assert metrics.icl(total, 29, 300, resp) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("resp", [[[0.5, 0.6]], [[1.5, -0.5]], [[np.nan, 1.0]], [0.5, 0.5], "sure"])
def test_icl_takes_responsibilities_alone(resp):
    with pytest.raises(InvalidParameter) as refused:
        metrics.icl(-1.0, 1, 1, resp)
    assert refused.value.name == "resp"
