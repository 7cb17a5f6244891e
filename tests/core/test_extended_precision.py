"""The M-step's covariances against sums of the same responsibilities in extended precision."""

from functools import partial, reduce

import numpy as np
import pytest

from core.covariance import COVARIANCES
from core.expectation import Expectation
from core.mixture import Mixture, combine, e_step, m_step
from core.rows import chunk_rows

EXTENDED = np.longdouble
pytestmark = pytest.mark.skipif(np.finfo(EXTENDED).nmant <= 52, reason="no wider float on this processor")


def rows_of(rng, n, d, k, separation, thinnest, offset):
    """Groups far apart for their width in some directions: covariances of a high condition."""
    widths = 10.0 ** rng.uniform(np.log10(thinnest), 0, (k, d, 1))
    mixing = np.linalg.qr(rng.normal(size=(k, d, d)))[0] @ (widths * rng.normal(size=(k, d, d)))
    labels = np.arange(n) % k
    noise = np.einsum("ni,nij->nj", rng.normal(size=(n, d)), mixing[labels])
    return offset + separation * rng.normal(size=(k, d))[labels] + noise, labels


def exact_covariances(X, resp):
    Z, R = (X - X[0]).astype(EXTENDED), resp.astype(EXTENDED)
    means = (R.T @ Z) / R.sum(axis=0)[:, None]
    return np.stack([((Z - mean) * r[:, None]).T @ (Z - mean) / r.sum() for mean, r in zip(means, R.T, strict=True)])


def in_its_metric(name, mixture, exact):
    """The largest error of a covariance, whitened by itself."""
    errors = []
    for component in range(mixture.n_components):
        if name == "diag":
            true = np.diagonal(exact[component])
            errors.append(np.abs(mixture.covariances[component] / true - 1).max())
        else:
            P = mixture.covariance.precisions_cholesky[component].astype(EXTENDED)
            errors.append(np.abs(P.T @ (mixture.covariances[component] - exact[component]) @ P).max())
    return float(max(errors))


@pytest.mark.parametrize("name", ["full", "diag"])
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(("separation", "thinnest"), [(1.0, 1.0), (30.0, 1e-2), (1e4, 1.0), (1e5, 1e-3)])
def test_what_products_lose_is_bounded(name, offset, separation, thinnest):
    errors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, labels = rows_of(rng, 600, 5, 3, separation, thinnest, offset)
        resp = 0.9 * np.eye(3)[labels] + 0.1 / 3
        exact = exact_covariances(X, resp)
        structure = COVARIANCES[name]
        start = Mixture.from_parameters(
            np.full(3, 1 / 3),
            np.stack([np.average(X, axis=0, weights=r) for r in resp.T]),
            exact.astype(np.float64) if name == "full" else np.diagonal(exact, axis1=1, axis2=2).astype(np.float64),
            name,
        )
        own = np.exp(start.log_responsibilities(X)[1])
        exact = exact_covariances(X, own)
        products = Expectation(X, np.ones(600), 3, structure)(start.log_densities)
        residuals = reduce(partial(combine, structure), map(partial(e_step, start), chunk_rows(X, np.ones(600), 3)))
        errors.append([in_its_metric(name, m_step(structure, s, 0.0), exact) for s in (products, residuals)])
    by_products, by_residuals = np.max(errors, axis=0)
    # What the products may lose of the densities, and of the covariances, is 1e-10 each.
    assert by_products < 2 * by_residuals + 1e-9
    if separation == thinnest == 1:
        assert by_products < 1e-13
