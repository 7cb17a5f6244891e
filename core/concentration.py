"""What is believed of the mixing weights: a Dirichlet distribution, or a Dirichlet process broken like a stick.

Both priors have one parameter, and both posteriors follow from the expected numbers of rows in the components.
"""

__all__ = ["CONCENTRATIONS", "Concentration", "DirichletDistribution", "DirichletProcess"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betaln, gammaln, psi

from core.types import Floats


@dataclass(frozen=True)
class Concentration(ABC):
    """The posterior q(π) of k mixing weights: its `prior` parameter, above 0, and expected counts Nₖ (k,)."""

    prior: float
    counts: Floats

    name: ClassVar[str]

    @property
    @abstractmethod
    def parameters(self) -> Floats | tuple[Floats, Floats]:
        """The posterior's parameters, in scikit-learn's form of `weight_concentration_`."""

    @property
    @abstractmethod
    def mean(self) -> Floats:
        """Expected weights (k,), summing to 1."""

    @property
    @abstractmethod
    def mean_log(self) -> Floats:
        """E[log πₖ], shape (k,)."""

    @property
    @abstractmethod
    def log_evidence(self) -> float:
        """log ∫ p(π) Πₖ πₖ^Nₖ dπ: the normaliser of the posterior over that of the prior."""


class DirichletDistribution(Concentration):
    """π ~ Dir(α₀, …, α₀) and q(π) = Dir(α₀ + N₁, …, α₀ + N_k) (Bishop 2006, eq. 10.39, 10.57–10.58)."""

    name = "dirichlet_distribution"

    @property
    def parameters(self) -> Floats:
        alpha: Floats = self.prior + self.counts
        return alpha

    @property
    def mean(self) -> Floats:
        """Bishop 2006, eq. B.17."""
        mean: Floats = self.parameters / self.parameters.sum()
        return mean

    @property
    def mean_log(self) -> Floats:
        """ψ(αₖ) − ψ(Σ α) (Bishop 2006, eq. 10.66)."""
        mean_log: Floats = psi(self.parameters) - psi(self.parameters.sum())
        return mean_log

    @property
    def log_evidence(self) -> float:
        """log C(α₀) − log C(α) (Bishop 2006, eq. B.23)."""
        prior = np.full_like(self.counts, self.prior)
        return _log_normaliser(prior) - _log_normaliser(self.parameters)


class DirichletProcess(Concentration):
    """πₖ = vₖ Πⱼ<ₖ (1 − vⱼ) with vₖ ~ Beta(1, γ) and q(vₖ) = Beta(1 + Nₖ, γ + Σⱼ>ₖ Nⱼ) (Blei & Jordan 2006, eq. 18–19).

    Rows belong to the first k pieces; what is left of the stick is given to none. As in scikit-learn, v_k is a
    piece like any other (Blei and Jordan set it to 1), and expected weights are divided by their sum.
    """

    name = "dirichlet_process"

    @property
    def parameters(self) -> tuple[Floats, Floats]:
        behind = np.append(np.cumsum(self.counts[:0:-1])[::-1], 0.0)
        return 1.0 + self.counts, self.prior + behind

    @property
    def mean(self) -> Floats:
        taken, left = self.parameters
        before = np.append(1.0, np.cumprod(left / (taken + left))[:-1])
        pieces = taken / (taken + left) * before
        mean: Floats = pieces / pieces.sum()
        return mean

    @property
    def mean_log(self) -> Floats:
        """E[log vₖ] + Σⱼ<ₖ E[log(1 − vⱼ)], each a difference of digamma functions (Bishop 2006, eq. B.21)."""
        taken, left = self.parameters
        whole = psi(taken + left)
        before = np.append(0.0, np.cumsum(psi(left) - whole)[:-1])
        mean_log: Floats = psi(taken) - whole + before
        return mean_log

    @property
    def log_evidence(self) -> float:
        """Σ log B(aₖ, bₖ) − k log B(1, γ), with B(1, γ) = 1/γ."""
        taken, left = self.parameters
        return float(betaln(taken, left).sum() + self.counts.size * np.log(self.prior))


CONCENTRATIONS: dict[str, type[Concentration]] = {kind.name: kind for kind in (DirichletProcess, DirichletDistribution)}


def _log_normaliser(alpha: Floats) -> float:
    """log C(α) = log Γ(Σ α) − Σ log Γ(α)."""
    return float(gammaln(alpha.sum()) - gammaln(alpha).sum())
