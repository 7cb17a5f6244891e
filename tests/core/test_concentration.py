import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, softmax
from scipy.stats import beta

from core.concentration import CONCENTRATIONS, DirichletDistribution, DirichletProcess

COUNTS = np.array([3.5, 0.0, 12.0, 1.0])


@pytest.mark.parametrize("kind", CONCENTRATIONS.values())
def test_expectations_are_means_of_samples(kind, rng):
    posterior = kind(0.7, COUNTS)
    if kind is DirichletDistribution:
        weights = rng.dirichlet(0.7 + COUNTS, size=200_000)
    else:
        behind = [13.0, 13.0, 1.0, 0.0]
        v = np.stack([rng.beta(1 + n, 0.7 + rest, 200_000) for n, rest in zip(COUNTS, behind, strict=True)], axis=1)
        weights = v * np.cumprod(np.column_stack([np.ones(len(v)), 1 - v[:, :-1]]), axis=1)
    logs = np.log(np.maximum(weights, 1e-300))
    error = 6 * logs.std(axis=0) / np.sqrt(len(logs))
    assert (np.abs(logs.mean(axis=0) - posterior.mean_log) < error).all()
    expected = weights.mean(axis=0)
    np.testing.assert_allclose(posterior.mean, expected / expected.sum(), atol=2e-3)
    assert posterior.mean.sum() == pytest.approx(1, abs=1e-15)


def test_the_evidence_of_a_distribution_is_its_integral():
    counts = np.array([2.0, 0.5, 1.0])
    # In ratios on a logarithmic scale: π = softmax(a, b, 0), whose Jacobian is π₁π₂π₃.
    a, b = np.meshgrid(*[np.linspace(-40, 40, 1601)] * 2, indexing="ij")
    pi = softmax(np.stack([a, b, np.zeros_like(a)]), axis=0)
    density = (
        gammaln(3.9) - 3 * gammaln(1.3) + np.einsum("i,iab->ab", counts + 0.3, np.log(pi)) + np.log(pi).sum(axis=0)
    )
    integral = np.exp(density).sum() * (80 / 1600) ** 2
    assert DirichletDistribution(1.3, counts).log_evidence == pytest.approx(np.log(integral), abs=1e-7)


def test_the_evidence_of_a_process_is_its_integral():
    counts, gamma = np.array([2.0, 0.5, 1.0]), 2.5
    behind = [1.5, 1.0, 0.0]
    pieces = [
        quad(lambda v, n=n, rest=rest: beta(1, gamma).pdf(v) * v**n * (1 - v) ** rest, 0, 1)[0]
        for n, rest in zip(counts, behind, strict=True)
    ]
    assert DirichletProcess(gamma, counts).log_evidence == pytest.approx(np.log(pieces).sum(), abs=1e-9)


@pytest.mark.parametrize("kind", CONCENTRATIONS.values())
def test_without_rows_there_is_no_evidence(kind):
    assert kind(0.2, np.zeros(3)).log_evidence == pytest.approx(0, abs=1e-14)
    assert kind(0.2, np.array([5.0])).mean == pytest.approx([1.0])
