"""Sums of rows by label that depend on neither their order nor their history."""

__all__ = ["Quanta", "sum_changes"]

from dataclasses import dataclass
from math import frexp, ldexp

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.types import Floats

DIGITS = 53  # binary digits of a float64

# The last word of a value of usual size has this many of its binary digits.
KEPT = 50

# Up to this many entries, a dense matrix of zeros and ones is made faster than a sparse one.
DENSE = 2**15

Labels = NDArray[np.signedinteger]


@dataclass(frozen=True)
class Quanta:
    """Values cut into words, multiples of a quantum each, so few digits wide that sums of them are exact.

    Exact sums may be taken in any order, and corrected by the rows that moved: the result has the same bits as one
    taken afresh (Demmel & Nguyen 2013 call such sums reproducible). `shifts` holds 1.5 · 2⁵² times each quantum: added
    and taken off again, it rounds to a multiple.
    """

    shifts: tuple[float, ...]

    @classmethod
    def of(cls, largest: float, usual: float, n_terms: int) -> "Quanta":
        """Quanta for values up to `largest`, of size `usual`, and sums of up to `n_terms` of them.

        A word holds 53 − log₂ n − 2 digits below the largest value; what lies below the last word, 2⁻⁵⁰ of the usual
        size, is rounded off.
        """
        digits = DIGITS - 2 - max(1, (n_terms - 1).bit_length())
        top = frexp(largest)[1]
        depth = top - frexp(usual)[1] + KEPT
        words = max(1, -(-depth // digits))
        return cls(tuple(ldexp(1.5, top - digits * word + DIGITS - 1) for word in range(1, words + 1)))

    def split(self, values: Floats) -> list[Floats]:
        """The words of values, in arrays of their shape; they take the values' place."""
        words = []
        for shift in self.shifts[:-1]:
            word = values + shift
            word -= shift
            values -= word
            words.append(word)
        values += self.shifts[-1]
        values -= self.shifts[-1]
        return [*words, values]


def sum_changes(words: list[Floats], labels: Labels, before: Labels | None, n_clusters: int) -> Floats:
    """Sums by label of words (n, d), less those by the label `before`, shape (words, k, d); exact."""
    n_samples = labels.shape[0]
    if n_samples * n_clusters <= DENSE:
        clusters = np.arange(n_clusters, dtype=labels.dtype)[:, None]
        signs = (labels == clusters).astype(np.float64)
        if before is not None:
            signs -= before == clusters
        return np.stack([signs @ word for word in words])
    if before is None:
        entries, places, width = np.ones(n_samples), labels, 1
    else:
        entries = np.tile([1.0, -1.0], n_samples)
        places, width = np.stack([labels, before], axis=1).ravel(), 2
    starts = np.arange(0, width * n_samples + 1, width)
    one_hot = sparse.csc_array((entries, places, starts), shape=(n_clusters, n_samples))
    return np.stack([one_hot @ word for word in words])
