"""Sums that do not depend on the order of their terms, to the bit: terms are cut into multiples of a few quanta."""

__all__ = ["Grid"]

from collections.abc import Iterator
from dataclasses import dataclass
from math import frexp, ldexp

import numpy as np

from core.types import Floats

DIGITS = 52  # binary ones that a float64 has behind its first
SPARE = 54  # binary digits of a typical term that the last quantum must not lose


@dataclass(frozen=True)
class Grid:
    """Quanta, coarse to fine: `shifts` are 3 · 2⁵¹ times them.

    A number plus such a shift, less it, is the nearest multiple of the quantum; the remainder is cut by the next one.
    Multiples of one quantum of which no sum has more digits than a float add up exactly, and so in any order, and with
    any of them taken off again (Demmel & Nguyen 2013, "Fast reproducible floating-point summation").
    """

    shifts: tuple[float, ...]

    @classmethod
    def of(cls, largest: float, typical: float, n_terms: int) -> "Grid":
        """For sums of up to `n_terms` of at most `largest`, most of them not less than `typical` unless they are 0."""
        digits = DIGITS - n_terms.bit_length()
        top, bottom = frexp(largest)[1], frexp(typical)[1] - SPARE
        levels = max(1, -(-(top - bottom) // digits))
        return cls(tuple(ldexp(1.5, top - digits * level + DIGITS) for level in range(1, levels + 1)))

    @property
    def levels(self) -> int:
        """Into how many parts a term is cut."""
        return len(self.shifts)

    def cut(self, terms: Floats) -> Iterator[Floats]:
        """The parts of the terms, coarse to fine, each in the place of the last one; the terms are overwritten."""
        part = np.empty_like(terms)
        for level, shift in enumerate(self.shifts):
            if level:
                terms -= part
            np.add(terms, shift, out=part)
            part -= shift
            yield part

    def joined(self, sums: Floats) -> Floats:
        """The sums that sums of parts (levels, …) stand for, rounded."""
        total: Floats = sums[-1].copy()
        for part in sums[-2::-1]:
            total += part
        return total
