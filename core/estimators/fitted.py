"""What an estimator shows of the mixture that it holds, whichever way it was fitted."""

__all__ = ["FittedMixture"]

from typing import Any

import numpy as np

from core.mixture import Mixture
from core.types import Floats


class FittedMixture:
    """Scikit-learn's attributes of a mixture, read from the model; arrays have the dtype of the training rows."""

    mixture_: Mixture
    _dtype: np.dtype[Any]

    @property
    def _model(self) -> Mixture:
        return self.mixture_

    def _public(self, array: Floats) -> Floats:
        # A copy or a view that is read-only: the model would not follow a change, and must not seem to.
        shown: Floats = array.astype(self._dtype, copy=False)[...]
        shown.flags.writeable = False
        return shown

    @property
    def weights_(self) -> Floats:
        """Mixing weights, shape (k,)."""
        return self._public(self.mixture_.weights)

    @property
    def means_(self) -> Floats:
        """Means, shape (k, d)."""
        return self._public(self.mixture_.means)

    @property
    def covariances_(self) -> Floats:
        """Full (k, d, d), tied (d, d), diag (k, d), spherical (k,)."""
        return self._public(self.mixture_.covariances)

    @property
    def precisions_(self) -> Floats:
        """Inverses of the covariances, in their shape."""
        return self._public(self.mixture_.covariance.precisions)

    @property
    def precisions_cholesky_(self) -> Floats:
        """Upper triangles P with precision P Pᵀ, or one over the deviations, in the shape of the covariances."""
        return self._public(self.mixture_.covariance.precisions_cholesky)
