from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.grid import Grid


def exactly(terms):
    return sum((Fraction(float(term)) for term in terms), Fraction(0))


@given(seed=st.integers(0, 10_000), n=st.integers(1, 3_000), spread=st.sampled_from([0, 3, 12, 100]))
@settings(max_examples=60, deadline=None)
def test_sums_of_parts_are_exact_in_any_order(seed, n, spread):
    rng = np.random.default_rng(seed)
    terms = rng.normal(size=n) * 10.0 ** rng.uniform(-spread, 0, n)
    sizes = np.abs(terms)
    grid = Grid.of(sizes.max(), np.quantile(sizes, 0.05), n)
    parts = [part.copy() for part in grid.cut(terms.copy())]
    for part in parts:
        shuffled = rng.permutation(part)
        assert Fraction(float(part.sum())) == exactly(part) == Fraction(float(np.add.accumulate(shuffled)[-1]))
        # What comes and goes again leaves nothing behind.
        assert float(part.sum()) - float(part[: n // 2].sum()) == float(part[n // 2 :].sum())
    total = float(grid.joined(np.array([[part.sum()] for part in parts]))[0])
    lost = abs(Fraction(total) - exactly(terms))
    # The last quantum is 2**-54 of a typical term, and each term loses half of it; the total is rounded.
    assert lost <= n * Fraction(2.0**-54 * np.quantile(sizes, 0.05)) + Fraction(2.0**-51 * sizes.sum())


@pytest.mark.parametrize(("n", "levels"), [(1_000, 2), (10**6, 2), (10**8, 3)])
def test_ordinary_terms_are_cut_into_few_parts(n, levels):
    assert Grid.of(4.0, 0.05, n).levels == levels


def test_terms_that_are_nothing_sum_to_nothing():
    parts = list(Grid.of(1.0, 1.0, 4).cut(np.zeros(4)))
    assert all(not part.any() for part in parts)
