import numpy as np
import pytest
import sklearn.metrics as theirs

from core.errors import InvalidParameter, InvalidRows
from core.metrics import calinski_harabasz_score, davies_bouldin_score

INDICES = [
    (calinski_harabasz_score, theirs.calinski_harabasz_score),
    (davies_bouldin_score, theirs.davies_bouldin_score),
]


@pytest.mark.parametrize(("ours", "reference"), INDICES)
@pytest.mark.parametrize("k", [2, 3, 9])
def test_indices_are_scikit_learns(ours, reference, k, blobs):
    X, labels = blobs(n=200, d=4, k=k, seed=k)
    labels[0] = 99  # alone in its cluster
    assert ours(X, labels) == pytest.approx(reference(X, labels), rel=1e-12)
    assert ours(X.astype(np.float32), labels) == pytest.approx(reference(X.astype(np.float32), labels), rel=1e-5)


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
def test_integer_weights_count_like_repeated_rows(index, blobs):
    X, labels = blobs(n=100)
    counts = np.random.default_rng(0).integers(0, 4, 100)
    repeated = index(np.repeat(X, counts, axis=0), np.repeat(labels, counts))
    assert index(X, labels, counts) == pytest.approx(repeated, rel=1e-12)


def test_only_ratios_of_weights_matter_to_davies_bouldin(blobs):
    X, labels = blobs(n=50)
    weight = np.random.default_rng(0).uniform(0.1, 1, 50)
    for unit in (2.0**-1000, 2.0**900):
        assert davies_bouldin_score(X, labels, weight * unit) == pytest.approx(
            davies_bouldin_score(X, labels, weight), rel=1e-12
        )


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_scale_does_not_matter(index, scale, blobs):
    X, labels = blobs(n=60)
    assert index(X * scale, labels) == pytest.approx(index(X, labels), rel=1e-9)


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
def test_offset_does_not_matter(index, blobs):
    X, labels = blobs(n=60)
    X = np.round(X * 1024) / 1024
    assert index(X + 1e8, labels) == pytest.approx(index(X, labels), rel=1e-10)


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
def test_far_clusters_keep_their_width(index, blobs):
    """A million spreads apart: the widths are what they were, and the distances known."""
    X = np.round(np.random.default_rng(0).normal(size=(40, 2)) * 1024) / 1024
    labels = np.repeat([0, 1], 20)
    far = X + np.where(labels == 0, 0.0, 2.0**40)[:, None]
    means = np.stack([X[labels == side].mean(axis=0) for side in (0, 1)])
    residuals = X - means[labels]
    apart = np.linalg.norm(means[1] + 2.0**40 - means[0])
    expected = {
        calinski_harabasz_score: 10 * apart**2 / (residuals**2).sum() * 38,
        davies_bouldin_score: 2 * np.linalg.norm(residuals, axis=1).mean() / apart,
    }[index]
    assert index(far, labels) == pytest.approx(expected, rel=1e-10)


def test_clusters_of_equal_rows_are_infinitely_well_apart():
    X = np.repeat([[0.1, 0.2], [0.7, 0.3]], 3, axis=0)
    labels = [0, 0, 0, 1, 1, 1]
    assert calinski_harabasz_score(X, labels) == np.inf
    assert davies_bouldin_score(X, labels) == 0


def test_clusters_that_share_a_centre_are_infinitely_bad():
    X = [[-1.0], [1.0], [-2.0], [2.0]]
    assert davies_bouldin_score(X, [0, 0, 1, 1]) == np.inf
    assert calinski_harabasz_score(X, [0, 0, 1, 1]) == 0


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 1], [0.5, 1.0, 2.0]])
def test_from_two_to_n_minus_one_clusters_are_needed(index, labels):
    with pytest.raises(InvalidParameter) as refused:
        index(np.arange(3.0)[:, None], labels)
    assert refused.value.name == "labels"


@pytest.mark.parametrize("index", [calinski_harabasz_score, davies_bouldin_score])
def test_rows_without_any_difference_are_refused(index):
    with pytest.raises(InvalidRows, match="all rows are equal"):
        index(np.ones((4, 2)), [0, 0, 1, 1])


def test_rows_of_weight_zero_do_not_exist(blobs):
    X, labels = blobs(n=40)
    weight = np.ones(40)
    weight[:10] = 0
    wild = X.copy()
    wild[:10] = 1e200
    for index in (calinski_harabasz_score, davies_bouldin_score):
        assert index(wild, labels, weight) == index(X[10:], labels[10:])
    with pytest.raises(InvalidParameter, match="sum to more than the number of clusters, 3") as refused:
        calinski_harabasz_score(X, labels, np.full(40, 0.01))
    assert refused.value.name == "sample_weight"
