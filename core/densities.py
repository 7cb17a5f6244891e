"""Component log-densities of one form, whichever model they come from, and the responsibilities that follow."""

__all__ = ["LogDensities"]

from dataclasses import dataclass

import numpy as np

from core.covariance import Covariance
from core.tails import far_log_responsibilities
from core.types import Floats, Ints

# Below this log-density a difference of two of them has lost more digits than a responsibility can spare (1e-6).
FAR = -1e10


@dataclass(frozen=True)
class LogDensities:
    """log πₖ pₖ(x) = aₖ − ½ ‖(x − μₖ) Pₖ‖²: offsets a (k,), means μ (k, d), and the covariances that hold P.

    A Gaussian mixture has aₖ = log πₖ + log det Pₖ − ½ d log 2π (Bishop 2006, eq. 9.7); a variational one its
    expectations in their place (eq. 10.46, 10.64–10.66). All that an E-step asks of a model is here.
    """

    offsets: Floats
    means: Floats
    covariance: Covariance

    def terms(self, X: Floats) -> Floats:
        """The log-densities of rows X (n, d), shape (n, k); −∞ where a square overflows."""
        terms = self.covariance.squared_mahalanobis(X, self.means)
        terms *= -0.5
        terms += self.offsets
        return terms

    def subset(self, components: Ints) -> "LogDensities":
        """Those of some components, by their indices."""
        return LogDensities(self.offsets[components], self.means[components], self.covariance.subset(components))

    def log_responsibilities(self, X: Floats) -> tuple[Floats, Floats]:
        """log Σₖ exp of the terms, shape (n,), and log rₙₖ (n, k) (Bishop 2006, eq. 9.23).

        By log-sum-exp about each row's largest term, which is taken off first: added to the logarithm it would
        absorb it far from the mixture, where log p(x) says nothing of the shares. Rows so far away that their
        terms hold no digits of the differences are compared in another way, so that responsibilities are right for
        every finite row.
        """
        terms = self.terms(X)
        top = terms.max(axis=1)
        far = top < FAR
        with np.errstate(under="ignore", divide="ignore", invalid="ignore"):
            terms -= np.where(np.isfinite(top), top, 0.0)[:, None]
            log_sums = np.log(np.exp(terms).sum(axis=1))
            log_resp = terms - log_sums[:, None]
            log_density = np.where(np.isfinite(top), top + log_sums, top)
        if far.any():
            log_resp[far] = far_log_responsibilities(X[far], self.means, self.covariance, self.offsets)
        return log_density, log_resp
