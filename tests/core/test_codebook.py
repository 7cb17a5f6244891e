import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.assignment import by_differences
from core.codebook import Codebook, assign
from core.kmeans import Centroids


@given(
    seed=st.integers(0, 10_000),
    n=st.sampled_from([1, 30, 400]),
    k=st.integers(1, 9),
    gap=st.sampled_from([0.0, 1e-15, 1e-9, 1e-4, 1.0]),
    offset=st.sampled_from([0.0, 3.0, 1e4, 1e8]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=150, deadline=None)
def test_labels_are_those_of_differences(seed, n, k, gap, offset, dtype):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, 3)) * rng.choice([1, 1e-3, 50]) + offset).astype(dtype)
    centers = offset + np.concatenate(
        [rng.normal(size=(k, 3)), rng.normal(size=(1, 3)) + gap * rng.normal(size=(3, 3))]
    )
    np.testing.assert_array_equal(Codebook.of(centers).labels(X), by_differences(X.astype(float), centers)[0])


@pytest.mark.parametrize("k", [2, 255, 256, 700])
def test_any_number_of_centres_has_its_labels(k, rng):
    centers = rng.normal(size=(k, 4))
    X = np.concatenate([centers, np.repeat((centers[:1] + centers[-1:]) / 2, 300, axis=0)])
    expected = by_differences(X, centers)[0]
    np.testing.assert_array_equal(Codebook.of(centers).labels(X), expected)
    assert (expected[:k] == np.arange(k)).all()


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-530, 2.0**400, 2.0**1000])
def test_labels_do_not_depend_on_the_scale(scale, rng):
    X, centers = rng.normal(size=(300, 3)), rng.normal(size=(5, 3))
    expected = Codebook.of(centers).labels(X)
    np.testing.assert_array_equal(Codebook.of(centers * scale).labels(X * scale), expected)


def test_few_rows_have_the_labels_that_they_have_among_many(rng):
    X, centers = rng.normal(size=(3_000, 5)), rng.normal(size=(7, 5))
    X[::500] = 1e200
    book = Codebook.of(centers)
    labels = book.labels(X)
    for size in (1, 20, 256, 257):
        np.testing.assert_array_equal(
            np.concatenate([book.labels(X[i : i + size]) for i in range(0, 3_000, size)]), labels
        )
    np.testing.assert_array_equal(assign(X, centers)[0], labels)


def test_centres_cannot_change_behind_their_codebook(rng):
    centers = rng.normal(size=(4, 2))
    centroids = Centroids(centers)
    X = rng.normal(size=(50, 2))
    labels = centroids.predict(X)
    with pytest.raises(ValueError, match="read-only"):
        centroids.cluster_centers[0] = 9.0
    assert centers.flags.writeable
    again = pickle.loads(pickle.dumps(centroids))
    assert "codebook" not in vars(again)
    np.testing.assert_array_equal(again.predict(X), labels)
