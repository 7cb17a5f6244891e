import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert metrics.adjusted_rand(true, pred) == pytest.approx(theirs.adjusted_rand_score(true, pred), abs=1e-12)
    assert metrics.normalized_mutual_info(true, pred) == pytest.approx(
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
    assert metrics.adjusted_rand(labels, 1 - labels) == 1.0


@pytest.mark.parametrize("chunk", [1, 1000, 2**22])
def test_silhouette_is_scikit_learns(chunk, blobs, monkeypatch):
    monkeypatch.setattr(metrics, "DISTANCES", chunk)
    X, labels = blobs(n=150, k=4)
    labels[0] = 9  # alone in its cluster
    np.testing.assert_allclose(
        metrics.silhouette_samples(X, labels), theirs.silhouette_samples(X, labels), rtol=1e-9, atol=1e-12
    )
    assert metrics.silhouette_score(X, labels) == pytest.approx(theirs.silhouette_score(X, labels), rel=1e-10)


def test_silhouette_of_equal_rows_is_zero():
    np.testing.assert_array_equal(metrics.silhouette_samples(np.ones((4, 2)), [0, 0, 1, 1]), 0)


def test_silhouette_of_shifted_rows_is_the_same(blobs):
    X, labels = blobs(n=60)
    X = np.round(X * 1024) / 1024
    np.testing.assert_allclose(
        metrics.silhouette_samples(X + 1e8, labels), metrics.silhouette_samples(X, labels), rtol=1e-12
    )


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 1], [0.5, 1.0, 2.0]])
def test_silhouette_needs_from_two_to_n_minus_one_clusters(labels):
    with pytest.raises(InvalidParameter) as refused:
        metrics.silhouette_samples(np.zeros((3, 1)), labels)
    assert refused.value.name == "labels"


def test_labels_of_different_lengths_are_refused():
    with pytest.raises(InvalidParameter, match="labels_pred"):
        metrics.adjusted_rand([0, 1], [0])
    with pytest.raises(InvalidParameter, match="empty"):
        metrics.error_rate([], [])


def test_criteria():
    assert metrics.aic(-100.0, 5) == 210.0
    assert metrics.bic(-100.0, 5, 100) == pytest.approx(200 + 5 * np.log(100))
