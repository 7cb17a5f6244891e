from functools import partial, reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import expectation, layout, natural
from core.covariance import COVARIANCES
from core.expectation import Expectation
from core.layout import layout_of
from core.mixture import Mixture, combine, e_step
from core.natural import Run
from core.rows import chunk_rows
from core.threads import thread_map


def problem(name, seed=0, n=3_000, d=4, k=3, offset=0.0, spread=3.0, thin=1.0, dtype=np.float64):
    """Rows of a mixture, and other parameters nearby; a `thin` first component is that much narrower than the rest."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    full = A @ A.transpose(0, 2, 1) + 0.3 * np.eye(d)
    full[0] *= thin**2
    means = rng.normal(scale=spread, size=(k, d))
    labels = rng.integers(0, k, n)
    X = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(full)[labels], rng.normal(size=(n, d)))
    covariances = {
        "full": full,
        "tied": full[0] if k == 1 else full[1:].mean(axis=0) * thin**2,
        "diag": np.diagonal(full, axis1=1, axis2=2),
        "spherical": np.trace(full, axis1=1, axis2=2) / d,
    }[name]
    moved = means + rng.normal(scale=0.2, size=(k, d)) * np.where(np.arange(k) == 0, thin, 1.0)[:, None]
    mixture = Mixture.from_parameters(rng.dirichlet(np.full(k, 5.0)), moved + offset, covariances, name)
    # With the largest in [1, 2) an expectation takes weights as they are.
    return (X + offset).astype(dtype), np.append(rng.uniform(0.2, 1.9, n - 1), 1.5), mixture


def residual_statistics(X, weight, mixture):
    structure = type(mixture.covariance)
    chunks = chunk_rows(X, weight, mixture.n_components)
    return reduce(partial(combine, structure), map(partial(e_step, mixture), chunks))


def matrices(structure, covariances, k, d):
    """Covariances of any structure as (k, d, d)."""
    if structure.name == "full":
        return covariances
    if structure.name == "tied":
        return np.stack([covariances] * k)
    return np.stack([np.diag(np.broadcast_to(each, (d,))) for each in covariances])


def difference(structure, ours, theirs):
    """The largest differences: of the mean log-likelihood, and of means and covariances in the latter's metric."""
    k, d = ours.means.shape
    counts = theirs.counts[:, None, None]
    average = partial(structure.average, reg_covar=0.0)
    a = matrices(structure, average(ours.counts, ours.scatter), k, d)
    b = matrices(structure, average(theirs.counts, theirs.scatter), k, d)
    assert (counts > 0).all()
    L = np.linalg.cholesky(b)
    seen = np.linalg.solve(L, np.linalg.solve(L, a - b).swapaxes(1, 2))
    # Less the rounding of the means themselves to floats.
    unequal = np.abs(ours.means - theirs.means) > 16 * np.spacing(np.abs(theirs.means).max())
    moved = np.linalg.solve(L, np.where(unequal, ours.means - theirs.means, 0.0)[:, :, None])
    bound = ours.log_likelihood / ours.total - theirs.log_likelihood / theirs.total
    return abs(bound), np.abs(moved).max(), np.abs(seen).max(), np.abs(ours.counts / theirs.counts - 1).max()


def both(name, weighted=True, **options):
    X, weight, mixture = problem(name, **options)
    weight = weight if weighted else np.ones(len(X))
    expectation = Expectation(X, weight, mixture.n_components, COVARIANCES[name])
    return expectation(mixture.log_densities), residual_statistics(X, weight, mixture), expectation, mixture


@pytest.fixture
def direct(monkeypatch):
    """Components that were computed from residuals, run by run."""
    seen = []

    def spy(self, H, direct, plain=Run.sums):
        seen.append([] if direct is None else direct.components.tolist())
        return plain(self, H, direct)

    monkeypatch.setattr(Run, "sums", spy)
    return seen


@pytest.fixture(params=[0.0, 0.4, 1.0])
def many(monkeypatch, request):
    """Any terms are many, few rows are in work at a time, and products sum all of these, some, or none."""
    monkeypatch.setattr(natural, "FEW_PAIRS", request.param)
    monkeypatch.setattr(expectation, "DIRECT_TERMS", dict.fromkeys(expectation.DIRECT_TERMS, 1))
    monkeypatch.setattr(layout, "BATCH_VALUES", 2_000)
    monkeypatch.setattr(layout, "BLOCK_ROWS_MAX", 64)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("spread", "thin", "offset"), [(2.0, 1.0, 0.0), (30.0, 1.0, 1e8), (30.0, 1e-6, 0.0)])
@pytest.mark.parametrize(("n", "d", "k"), [(50, 1, 2), (700, 3, 3), (9_001, 7, 5)])
def test_sums_from_residuals_are_those_of_all_rows(name, weighted, spread, thin, offset, n, d, k, many, direct):
    ours, theirs, *_ = both(name, weighted, n=n, d=d, k=k, offset=offset, spread=spread, thin=thin)
    assert direct != []
    # Batches of 64 rows are combined by means that are rounded to 1.5e-8 there.
    assert max(difference(COVARIANCES[name], ours, theirs)) < (1e-9 if offset == 0 else 1e-8)
    assert ours.total == pytest.approx(theirs.total, rel=1e-13)


def test_many_features_are_summed_from_residuals(direct):
    ours, theirs, *_ = both("full", n=3_000, d=45, k=9)
    assert direct == [[]] * len(direct) != []
    assert max(difference(COVARIANCES["full"], ours, theirs)) < 1e-9


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_a_component_of_next_to_nothing_is_summed_over_all_rows(name, many, direct):
    X, weight, mixture = problem(name, n=900, d=2, k=3, spread=30.0)
    weight[mixture.predict(X) == 1] *= 1e-40
    ours = Expectation(X, weight, 3, COVARIANCES[name])(mixture.log_densities)
    theirs = residual_statistics(X, weight, mixture)
    assert len(direct) > 1
    assert 1 in direct[-1]
    assert theirs.counts[1] < 1e-30
    assert max(difference(COVARIANCES[name], ours, theirs)) < 1e-9


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
@pytest.mark.parametrize(("n", "d", "k"), [(50, 1, 2), (700, 3, 3), (9_001, 7, 5), (3_000, 16, 16)])
def test_products_are_residuals(name, weighted, offset, n, d, k, direct):
    ours, theirs, *_ = both(name, weighted, n=n, d=d, k=k, offset=offset, spread=2.0)
    assert direct == [[]] * len(direct) != []
    assert max(difference(COVARIANCES[name], ours, theirs)) < 1e-10
    assert ours.total == pytest.approx(theirs.total, rel=1e-13)


@given(
    name=st.sampled_from(sorted(COVARIANCES)),
    seed=st.integers(0, 10_000),
    n=st.integers(40, 400),
    d=st.integers(1, 6),
    k=st.integers(2, 5),
    spread=st.floats(0.0, 300.0),
    thin=st.floats(1e-5, 1.0),
    offset=st.sampled_from([0.0, -1e3, 1e6]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_separation_products_are_residuals(name, seed, n, d, k, spread, thin, offset):
    X, weight, mixture = problem(name, seed, n, d, k, offset, spread, thin)
    ours = Expectation(X, weight, k, COVARIANCES[name])(mixture.log_densities)
    theirs = residual_statistics(X, weight, mixture)
    if (theirs.counts < d + 1).any() or not np.isfinite(theirs.scatter).all():
        return
    bound, moved, seen, counts = difference(COVARIANCES[name], ours, theirs)
    assert bound <= 1e-9 * max(1.0, abs(theirs.log_likelihood / theirs.total))
    assert max(moved, seen, counts) < 1e-8


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("offset", [0.0, 2.0**20])
def test_sums_are_those_of_a_longer_format(name, offset):
    """An independent reference: densities, responsibilities and scatter in long doubles, from residuals."""
    n, d, k = 2_000, 5, 4
    X, weight, mixture = problem(name, n=n, d=d, k=k, offset=offset)
    ours = Expectation(X, weight, k, COVARIANCES[name])(mixture.log_densities)
    long = np.longdouble
    factors = np.zeros((k, d, d))
    factors[:] = {
        "full": lambda P: P,
        "tied": lambda P: P,
        "diag": lambda P: np.stack([np.diag(each) for each in P]),
        "spherical": lambda P: P[:, None, None] * np.eye(d),
    }[name](mixture.covariance.precisions_cholesky)
    z = np.einsum("nki,kij->nkj", X.astype(long)[:, None] - mixture.means, factors.astype(long))
    terms = mixture.log_densities.offsets - (z * z).sum(axis=2) / 2
    top = terms.max(axis=1, keepdims=True)
    log_density = top[:, 0] + np.log(np.exp(terms - top).sum(axis=1))
    resp = np.exp(terms - log_density[:, None]) * weight.astype(long)[:, None]
    counts = resp.sum(axis=0)
    means = resp.T @ X.astype(long) / counts[:, None]
    residuals = X.astype(long)[:, None] - means
    scatter = np.einsum("nk,nki,nkj->kij", resp, residuals, residuals)
    expected = {
        "full": scatter,
        "tied": scatter.sum(axis=0),
        "diag": np.diagonal(scatter, axis1=1, axis2=2),
        "spherical": np.trace(scatter, axis1=1, axis2=2) / d,
    }[name]
    assert ours.log_likelihood == pytest.approx(float(weight @ log_density), rel=1e-13)
    np.testing.assert_allclose(ours.counts, counts.astype(float), rtol=1e-12)
    np.testing.assert_allclose(ours.means - offset, (means - offset).astype(float), atol=1e-12 + 4e-16 * offset)
    size = np.abs(expected).max()
    np.testing.assert_allclose(ours.scatter, expected.astype(float), rtol=1e-11, atol=1e-13 * float(size))


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
@pytest.mark.parametrize(("thin", "trips"), [(0.1, False), (1e-6, True)])
def test_only_a_component_that_loses_too_much_is_computed_from_residuals(name, thin, trips, direct):
    ours, theirs, *_ = both(name, n=4_000, d=3, k=4, thin=thin)
    assert direct == [[0] if trips else []] * len(direct) != []
    assert max(difference(COVARIANCES[name], ours, theirs)) < 1e-9


def test_a_shared_covariance_that_loses_too_much_sends_all_to_residuals(direct):
    ours, theirs, *_ = both("tied", n=4_000, d=3, k=4, thin=1e-6)
    assert direct == []
    np.testing.assert_array_equal(ours.scatter, theirs.scatter)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_an_update_that_loses_too_much_is_made_again(name, direct):
    """Wide parameters see nothing amiss; the rows that a component then owns lie in one point far out."""
    X, weight, _ = problem(name, n=2_000, d=2, k=2, spread=1.0)
    X[:100] = [60.0, 60.0] + np.random.default_rng(1).normal(size=(100, 2)) * 1e-7
    means = np.array([[60.0, 60.0], [0.0, 0.0]])
    covariances = {"full": np.stack([np.eye(2)] * 2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}[name] * 4.0
    wide = Mixture.from_parameters([0.05, 0.95], means, covariances, name)
    ours = Expectation(X, weight, 2, COVARIANCES[name])(wide.log_densities)
    assert direct == [[], [0]]
    theirs = residual_statistics(X, weight, wide)
    bound, _, seen, counts = difference(COVARIANCES[name], ours, theirs)
    assert max(bound, seen, counts) < 1e-9
    np.testing.assert_allclose(ours.means, theirs.means, atol=1e-13)


@pytest.mark.parametrize("name", COVARIANCES)
def test_far_rows_of_many_terms_are_computed_by_themselves(name, many, direct):
    test_far_rows_are_computed_by_themselves(name, direct)


@pytest.mark.parametrize("name", COVARIANCES)
def test_far_rows_are_computed_by_themselves(name, direct):
    X, weight, mixture = problem(name, n=30_000, d=3, k=3)
    X[[5, 17_000, 29_999]] = [[1e5, 0.0, 0.0], [0.0, -3e7, 1e6], [1e12, 1e12, 1e12]]
    expectation = Expectation(X, weight, 3, COVARIANCES[name])
    ours = expectation(mixture.log_densities)
    assert direct != []
    theirs = residual_statistics(X, weight, mixture)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(ours.counts, theirs.counts, rtol=1e-11)
    np.testing.assert_allclose(ours.means, theirs.means, rtol=1e-10)
    np.testing.assert_allclose(ours.scatter, theirs.scatter, rtol=1e-9, atol=1e-9 * np.abs(theirs.scatter).max())


@pytest.mark.parametrize("name", COVARIANCES)
def test_rows_of_many_terms_below_every_density_take_log_sum_exp(name, many, direct):
    test_rows_below_every_density_take_log_sum_exp(name, direct)


@pytest.mark.parametrize("name", COVARIANCES)
def test_rows_below_every_density_take_log_sum_exp(name, direct):
    """Sharp components: a row between them has no density that is a float, and yet a log and responsibilities."""
    X, weight, mixture = problem(name, n=500, d=2, k=2, spread=10.0)
    sharp = Mixture.from_parameters(mixture.weights, mixture.means, mixture.covariances * 2e-3, name)
    ours = Expectation(X, weight, 2, COVARIANCES[name])(sharp.log_densities)
    theirs = residual_statistics(X, weight, sharp)
    assert sharp.score_samples(X).min() < -800
    assert direct != []
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-10)
    np.testing.assert_allclose(ours.counts, theirs.counts, rtol=1e-8)
    np.testing.assert_allclose(ours.scatter, theirs.scatter, rtol=1e-7, atol=1e-9 * np.abs(theirs.scatter).max())


@pytest.mark.parametrize("name", COVARIANCES)
def test_rows_of_32_bits_are_near_those_of_64(name, direct):
    X, weight, mixture = problem(name, n=5_000, d=4, k=3, dtype=np.float32)
    ours = Expectation(X, weight, 3, COVARIANCES[name])(mixture.log_densities)
    theirs = residual_statistics(X.astype(np.float64), weight, mixture)
    assert direct != []
    assert ours.scatter.dtype == np.float64
    assert max(difference(COVARIANCES[name], ours, theirs)) < 1e-4


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_component_of_weight_zero_stays_empty(name, direct):
    X, weight, mixture = problem(name, n=600, d=2, k=3)
    lone = Mixture.from_parameters([0.4, 0.6, 0.0], mixture.means, mixture.covariances, name)
    statistics = Expectation(X, weight, 3, COVARIANCES[name])(lone.log_densities)
    assert direct == [[]]
    assert statistics.counts[2] == 0
    assert np.isfinite(statistics.log_likelihood)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", COVARIANCES)
def test_a_component_that_is_nothing_to_any_row_has_count_zero(name, dtype):
    """Its densities underflow, by a little or by a lot, some just above the floor of the exponential."""
    X, weight, mixture = problem(name, n=600, d=2, k=2, dtype=dtype)
    reach = np.sqrt(np.linspace(1.0, 3.0, 60) * (1400 if dtype == np.float64 else 170))
    for distance in reach:
        means = np.concatenate([mixture.means, [[distance * 3 + 20.0, 0.0]]])
        covariances = mixture.covariances if name == "tied" else np.concatenate([mixture.covariances] * 2)[:3]
        apart = Mixture.from_parameters([0.5, 0.4, 0.1], means, covariances, name)
        counts = Expectation(X, weight, 3, COVARIANCES[name])(apart.log_densities).counts
        theirs = residual_statistics(X.astype(np.float64), weight, apart).counts
        assert counts[2] == 0 or theirs[2] > 0
        np.testing.assert_allclose(counts[:2], theirs[:2], rtol=1e-11 if dtype == np.float64 else 1e-4)


@given(st.integers(1, 2_000_000), st.integers(1, 64), st.integers(1, 5_000), st.booleans())
def test_a_layout_covers_the_rows_in_order(n, k, p, direct):
    cut = layout_of(n, k, p, direct)
    edges = [edge for run in cut.runs for edge in run]
    assert edges[0] == 0
    assert all(a == b for a, b in zip(edges[1:-1:2], edges[2::2], strict=True))
    assert all(first < last for first, last in cut.runs)
    assert (edges[-1] - 1) * cut.block < n <= edges[-1] * cut.block
    assert cut.width >= p
    assert cut.width % cut.parts == 0
    assert 1 <= cut.piece <= cut.batch
    assert cut.direct or cut.piece == cut.batch


@pytest.mark.parametrize("name", COVARIANCES)
def test_runs_of_many_terms_give_the_same_bits_however_they_are_mapped(name, many):
    test_runs_give_the_same_bits_however_they_are_mapped(name)


@pytest.mark.parametrize("name", COVARIANCES)
def test_runs_give_the_same_bits_however_they_are_mapped(name):
    X, weight, mixture = problem(name, n=70_001, d=6, k=8)

    def backwards(function, items):
        return [function(item) for item in reversed(list(items))][::-1]

    results = [
        Expectation(X, weight, 8, COVARIANCES[name], chunk_map)(mixture.log_densities)
        for chunk_map in (map, thread_map, backwards)
    ]
    for other in results[1:]:
        assert other.log_likelihood == results[0].log_likelihood
        np.testing.assert_array_equal(other.means, results[0].means)
        np.testing.assert_array_equal(other.scatter, results[0].scatter)
