"""Mean and spread of the features, in one pass over chunks of rows and without a square that could overflow."""

__all__ = ["Moments", "moments_of"]

from dataclasses import dataclass
from functools import partial

import numpy as np

from core.errors import InvalidRows
from core.linalg import EPS, power_of_two, row_norms
from core.rows import Chunk, chunk_rows, map_reduce
from core.types import Floats, MapLike

# Relative error of the mean of equal rows, and of residuals from it.
ROUND_OFF = 4 * EPS


@dataclass(frozen=True)
class Moments:
    """The total weight W, the mean (d,), and a root of the scatter S = Σ w (x − mean)(x − mean)ᵀ.

    `root` is the triangle R (r, d), r ≤ d, with S = Rᵀ R; or, where features are not looked at jointly, the
    norms √diag(S), shape (d,).
    """

    total: float
    mean: Floats
    root: Floats

    @property
    def norms(self) -> Floats:
        """√ Σ w (x − mean)² of each feature, shape (d,)."""
        return self.root if self.root.ndim == 1 else row_norms(np.ascontiguousarray(self.root.T))

    @property
    def deviations(self) -> Floats:
        """Standard deviation of each feature (d,), of the population: 1 where it is nothing but round-off."""
        deviations = self.norms / np.sqrt(self.total)
        return np.where(deviations > ROUND_OFF * np.abs(self.mean), deviations, 1.0)


def moments_of(X: Floats, sample_weight: Floats, *, joint: bool = False, chunk_map: MapLike = map) -> Moments:
    """Moments of rows X (n, d) with weights (n,); `joint` ones hold the triangle.

    A triangle comes of the QR factorisation of the residuals themselves: XᵀX would square the condition number.
    Raises `InvalidRows` when a difference of two rows overflows.
    """
    positive = sample_weight > 0
    if not positive.all():
        # A row of weight 0 is no row: it must not even be able to overflow.
        X, sample_weight = X[positive], sample_weight[positive]
    # Counted in units of a power of two near the largest, weights can neither overflow nor vanish.
    unit = power_of_two(float(sample_weight.max()))
    chunks = chunk_rows(X, sample_weight / unit, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = map_reduce(partial(_of_chunk, joint), chunks, _combine, chunk_map)
    if not (np.isfinite(moments.mean).all() and np.isfinite(moments.root).all()):
        raise InvalidRows("the rows spread over more than the largest float, 1.8e308: scale the data")
    return Moments(moments.total * unit, moments.mean, moments.root * np.sqrt(unit))


def _of_chunk(joint: bool, chunk: Chunk) -> Moments:
    """Moments of a chunk; the mean is taken about the first row, so that an offset drops out."""
    total = float(chunk.sample_weight.sum())
    reference = chunk.X[0].astype(np.float64)
    residuals = chunk.X - reference
    shift = (chunk.sample_weight / total) @ residuals
    residuals -= shift
    residuals *= np.sqrt(chunk.sample_weight)[:, None]
    root = _triangle(residuals) if joint else row_norms(np.ascontiguousarray(residuals.T))
    return Moments(total, reference + shift, root)


def _combine(a: Moments, b: Moments) -> Moments:
    """Moments of both (Chan, Golub & LeVeque 1979): scatter gains WₐW_b/(Wₐ+W_b) δδᵀ, δ the difference of means."""
    total = a.total + b.total
    share = b.total / total
    delta = b.mean - a.mean
    between = delta * np.sqrt(a.total * share)
    if a.root.ndim == 1:
        root: Floats = np.hypot(np.hypot(a.root, b.root), between)
    else:
        root = _triangle(np.concatenate([a.root, b.root, between[None, :]]))
    return Moments(total, a.mean + delta * share, root)


def _triangle(rows: Floats) -> Floats:
    """R of the QR factorisation: RᵀR = AᵀA, without the squares."""
    return np.asarray(np.linalg.qr(rows, mode="r"))
