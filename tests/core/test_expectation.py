from functools import partial, reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.covariance import COVARIANCES
from core.expectation import Expectation
from core.mixture import Mixture, combine, e_step
from core.natural import Run
from core.rows import chunk_rows


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
