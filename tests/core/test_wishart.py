import numpy as np
import pytest
from scipy.stats import wishart as reference

from core import wishart


@pytest.mark.parametrize(("d", "nu"), [(1, 0.3), (1, 4.0), (3, 2.1), (3, 50.0)])
def test_the_normaliser_is_that_of_the_density(d, nu, rng):
    # log W(Λ | W, ν) = log B + (ν − d − 1)/2 log |Λ| − ½ tr(W⁻¹Λ) (Bishop 2006, eq. B.78), at any Λ.
    A = rng.normal(size=(d, d))
    W, Lambda = A @ A.T + np.eye(d), np.eye(d) + 0.3
    ours = wishart.log_normaliser(np.linalg.slogdet(W)[1], nu, d)
    rest = 0.5 * (nu - d - 1) * np.linalg.slogdet(Lambda)[1] - 0.5 * np.trace(np.linalg.solve(W, Lambda))
    if nu >= d:
        assert ours + rest == pytest.approx(float(reference.logpdf(Lambda, nu, W)), rel=1e-12)
    else:
        # SciPy wants ν ≥ d; in between, the normaliser is analytic: Γ_d at (ν + 2)/2 by its recurrence.
        gammas = np.log(0.5 * (nu - np.arange(d))).sum()
        above = wishart.log_normaliser(np.linalg.slogdet(W)[1], nu + 2, d)
        assert ours == pytest.approx(above + np.linalg.slogdet(W)[1] + d * np.log(2) + gammas, rel=1e-12)


def test_the_expected_log_determinant_is_the_mean_of_samples(rng):
    W = np.array([[0.5, 0.2], [0.2, 1.0]])
    samples = np.linalg.slogdet(reference.rvs(5.5, W, size=200_000, random_state=rng))[1]
    expected = wishart.mean_log_det(np.linalg.slogdet(W)[1], 5.5, 2)
    assert abs(samples.mean() - expected) < 6 * samples.std() / np.sqrt(samples.size)


def test_shapes_broadcast(rng):
    log_det, nu = rng.normal(size=4), rng.uniform(3, 9, 4)
    for function in (wishart.mean_log_det, wishart.log_normaliser):
        each = [function(a, b, 3) for a, b in zip(log_det, nu, strict=True)]
        np.testing.assert_allclose(function(log_det, nu, 3), each, rtol=1e-14)
        shared = [function(a, nu[0], 3) for a in log_det]
        np.testing.assert_allclose(function(log_det, np.asarray(nu[0]), 3), shared, rtol=1e-14)
