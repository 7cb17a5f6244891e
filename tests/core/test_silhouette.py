import tracemalloc
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import core.silhouette
from core.errors import InvalidParameter
from core.silhouette import silhouette_samples, silhouette_score


def plain(X, labels):
    """Rousseeuw's definition, row by row, with distances by differences."""
    X, labels = np.asarray(X, dtype=float), np.asarray(labels)
    distances = cdist(X, X)
    result = []
    for row, label in enumerate(labels):
        sums = {other: distances[row, labels == other].sum() for other in set(labels.tolist())}
        sizes = {other: int((labels == other).sum()) for other in sums}
        if sizes[label] == 1:
            result.append(0.0)
            continue
        a = sums[label] / (sizes[label] - 1)
        b = min(sums[other] / sizes[other] for other in sums if other != label)
        result.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return np.array(result)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 3), (64, 100), (256, 512)])
@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("held", [0, 64])
def test_silhouettes_are_scikit_learns(rows, columns, d, held, blobs, monkeypatch):
    monkeypatch.setattr(core.silhouette, "CLUSTERS_HELD", held)
    monkeypatch.setattr(core.silhouette, "BLOCK_ROWS", rows)
    monkeypatch.setattr(core.silhouette, "BLOCK_COLUMNS", columns)
    X, labels = blobs(n=150, d=d, k=4)
    labels[0] = 9  # alone in its cluster
    np.testing.assert_allclose(silhouette_samples(X, labels), theirs.silhouette_samples(X, labels), atol=1e-12)
    np.testing.assert_allclose(silhouette_samples(X, labels), plain(X, labels), atol=1e-12)
    assert silhouette_score(X, labels) == pytest.approx(theirs.silhouette_score(X, labels), rel=1e-10)


@given(
    seed=st.integers(0, 10_000),
    d=st.integers(1, 4),
    spread=st.sampled_from([0.0, 1e-12, 1e-6, 1e-2, 1.0]),
    grid=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_near_and_equal_rows_lose_no_digits(seed, d, spread, grid):
    """Clusters much narrower than their distances, where products cancel; and rows that are the same."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 80)
    labels[:4] = np.arange(4)
    X = rng.normal(size=(4, d))[labels] + spread * (
        rng.integers(0, 3, size=(80, d)) if grid else rng.normal(size=(80, d))
    )
    np.testing.assert_allclose(silhouette_samples(X, labels), plain(X, labels), atol=1e-11)


def test_distances_are_within_their_bound(monkeypatch):
    """Sums of a single distance each, against the roots of exact squares."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 3)), 1e-5 * rng.normal(size=(60, 3)), 1e6 + rng.normal(size=(60, 3))])
    codes = np.arange(len(X))
    monkeypatch.setattr(core.silhouette, "FEW", 1)  # one by one, however many there are
    clusters = core.silhouette._Sorted(X, codes, np.ones(len(X), dtype=np.int64))
    sums, _ = core.silhouette._distance_sums(clusters, False, slice(30, 150))
    for i in range(30, 150, 7):
        for j in range(0, 180, 3):
            square = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(X[i], X[j], strict=True))
            root = Fraction(isqrt(int(square * 2**300)), 2**150)
            assert abs(Fraction(sums[i - 30, j]) - root) <= root * Fraction(1.1e-12)


def test_equal_rows_have_none():
    np.testing.assert_array_equal(silhouette_samples(np.ones((4, 2)), [0, 0, 1, 1]), 0)
    np.testing.assert_array_equal(silhouette_samples(np.repeat([[0.1], [0.7]], 300, axis=0), [0] * 300 + [1] * 300), 1)


@pytest.mark.parametrize("offset", [1e8, -1e12])
def test_shifted_rows_have_the_same(offset, blobs):
    X, labels = blobs(n=300)
    X = np.round(X * 1024) / 1024
    np.testing.assert_allclose(silhouette_samples(X + offset, labels), silhouette_samples(X, labels), atol=1e-12)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_scaled_rows_have_the_same(scale, blobs):
    X, labels = blobs(n=60)
    np.testing.assert_allclose(silhouette_samples(X * scale, labels), silhouette_samples(X, labels), atol=1e-12)


@pytest.mark.parametrize("k", [40, 300])
def test_many_small_clusters(k, rng):
    X = rng.normal(size=(600, 3))
    labels = rng.permutation(np.repeat(np.arange(k), 600 // k))
    np.testing.assert_allclose(silhouette_samples(X, labels), plain(X, labels), atol=1e-12)


@pytest.mark.parametrize("held", [0, 64])
def test_the_same_bits_with_any_number_of_threads(held, blobs, monkeypatch):
    monkeypatch.setattr(core.silhouette, "CLUSTERS_HELD", held)
    X, labels = blobs(n=1500, d=5)
    expected = silhouette_samples(X, labels, chunk_map=map)
    for cores in (1, 2, 5):
        monkeypatch.setattr("core.threads.usable_cores", lambda cores=cores: cores)
        np.testing.assert_array_equal(silhouette_samples(X, labels), expected)


def test_memory_does_not_grow_with_pairs(rng):
    X, labels = rng.normal(size=(6000, 4)), rng.integers(0, 3, 6000)
    tracemalloc.start()
    silhouette_samples(X, labels, chunk_map=map)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * X.nbytes + 2**22  # the pairs alone are 275 MiB


@pytest.mark.parametrize("seed", [0, "generator"])
def test_a_score_of_some_rows_is_of_those_alone(seed, blobs):
    X, labels = blobs(n=400)
    state = np.random.default_rng(5) if seed == "generator" else seed
    some = silhouette_score(X, labels, sample_size=200, random_state=state)
    assert some != silhouette_score(X, labels)
    assert some == pytest.approx(silhouette_score(X, labels), abs=0.1)
    if seed == 0:
        assert some == silhouette_score(X, labels, sample_size=200, random_state=0)
    assert silhouette_score(X, labels, sample_size=400) == silhouette_score(X, labels)


@pytest.mark.parametrize("sample_size", [0, 2, 61, 2.5, True, "all"])
def test_other_sizes_of_a_sample_are_refused(sample_size, blobs):
    X, labels = blobs(n=60)
    with pytest.raises(InvalidParameter) as refused:
        silhouette_score(X, labels, sample_size=sample_size)
    assert refused.value.name == "sample_size"


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 1], [0.5, 1.0, 2.0]])
def test_from_two_to_n_minus_one_clusters_are_needed(labels):
    with pytest.raises(InvalidParameter) as refused:
        silhouette_samples(np.zeros((3, 1)), labels)
    assert refused.value.name == "labels"
