"""Component log-densities of one form, whichever model they come from, and the responsibilities that follow."""

__all__ = ["LogDensities"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.covariance import Covariance
from core.covariance.squares import Squares
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

    @cached_property
    def _squares(self) -> Squares:
        return self.covariance.squares_about(self.means)

    def terms(self, X: Floats) -> Floats:
        """The log-densities of rows X (n, d), shape (n, k); −∞ where a square overflows."""
        return self.by_component(X).T

    def by_component(self, X: Floats) -> Floats:
        """The log-densities of rows X (n, d), shape (k, n): whatever is done to them goes along the rows."""
        terms = self._squares(X)
        terms *= -0.5
        terms += self.offsets[:, None]
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
        terms, top, far = self._below_top(X)
        with np.errstate(under="ignore", divide="ignore", invalid="ignore"):
            log_sums = np.log(np.exp(terms).sum(axis=0))
            terms -= log_sums
            log_density = log_sums
            log_density += top
        if far is not None:
            terms[:, far] = self._far(X[far]).T
        return log_density, terms.T

    def responsibilities(self, X: Floats) -> Floats:
        """rₙₖ, shape (n, k), as `log_responsibilities` has their logs."""
        terms, _, far = self._below_top(X)
        with np.errstate(under="ignore", invalid="ignore"):
            np.exp(terms, out=terms)
            terms /= terms.sum(axis=0)
            if far is not None:
                terms[:, far] = np.exp(self._far(X[far])).T
        return np.ascontiguousarray(terms.T)

    def most_probable(self, X: Floats) -> Ints:
        """The component of the largest responsibility, shape (n,)."""
        terms, _, far = self._below_top(X)
        labels: Ints = terms.argmax(axis=0)
        if far is not None:
            labels[far] = self._far(X[far]).argmax(axis=1)
        return labels

    def _below_top(self, X: Floats) -> tuple[Floats, Floats, NDArray[np.bool_] | None]:
        """Terms (k, n) less each row's largest, which is beside them (n,), and which rows are far, if any is."""
        terms = self.by_component(X)
        top = terms.max(axis=0)
        if top.min() >= FAR:
            terms -= top
            return terms, top, None
        terms -= np.where(np.isfinite(top), top, 0.0)
        return terms, top, top < FAR

    def _far(self, X: Floats) -> Floats:
        return far_log_responsibilities(X, self.means, self.covariance, self.offsets)
