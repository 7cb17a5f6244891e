"""The four covariance structures, one class each: full, tied, diag, spherical.

A structure owns everything that depends on it: its estimate, whitening, log-determinant, colouring of noise, affine
maps and number of parameters. Nothing else in the core asks which one it has.
"""

__all__ = ["COVARIANCES", "Covariance", "Diag", "Full", "Spherical", "Tied"]

from core.covariance.base import Covariance
from core.covariance.matrices import Full, Tied
from core.covariance.variances import Diag, Spherical

COVARIANCES: dict[str, type[Covariance]] = {kind.name: kind for kind in (Full, Tied, Diag, Spherical)}
