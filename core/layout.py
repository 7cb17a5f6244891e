"""How the rows of a fit are cut for its matrix products: into blocks, batches of blocks, and runs of batches."""

__all__ = ["KEPT_VALUES", "TILE", "Layout", "layout_of"]

from dataclasses import dataclass
from math import ceil

from core.linalg import SMALL_PRODUCT

# Of A·Bᵀ, OpenBLAS computes only results of so many numbers without copies: blocks are cut accordingly.
SMALL_RESULT = 1200
BLOCK_ROWS_MIN, BLOCK_ROWS_MAX, LARGE_BLOCK = 64, 2048, 256
# Terms in work at a time (4 MiB of doubles), and at most kept for a whole fit (32 MiB).
BATCH_VALUES, KEPT_VALUES = 2**19, 2**22
BATCH_ROWS_MAX = 2**14
# Log-densities in work at a time where sums may be of residuals (4 MiB of doubles), and how many runs there should be.
DIRECT_VALUES, DIRECT_RUNS = 2**19, 8
RUNS_MAX = 16
# Elementary operations of a step below which a second thread costs more than it brings.
WORTH_A_THREAD = 2**23
# Features are centred so many rows at a time: NumPy's innermost loop is then long.
TILE = 8


@dataclass(frozen=True)
class Layout:
    """How rows are cut: follows from the shape of the problem alone, as does with it the rounding of every sum."""

    n_terms: int
    n_components: int
    block: int  # rows
    batch: int  # blocks in work at a time
    piece: int  # of them, those whose terms are in work at a time
    parts: int  # that the terms of R·Tᵀ are computed in
    runs: tuple[tuple[int, int], ...]  # first and last block
    keeps: bool  # the terms of all rows for the whole fit
    direct: bool  # sums over rows are of residuals where these are few: of the terms, only densities are made

    @property
    def width(self) -> int:
        """Terms with padding: a multiple of the parts."""
        return self.parts * ceil(self.n_terms / self.parts)


def layout_of(n_samples: int, n_components: int, n_terms: int, direct: bool = False) -> Layout:
    """The layout for a shape; with `direct`, sums over rows may be of residuals."""
    block, parts = LARGE_BLOCK, 1
    small = SMALL_PRODUCT // (n_components * n_terms)
    if small >= BLOCK_ROWS_MIN:
        block = min(small, BLOCK_ROWS_MAX) // TILE * TILE
        parts = min(ceil(n_components * n_terms / SMALL_RESULT), n_terms)
    width = parts * ceil(n_terms / parts)
    blocks = ceil(n_samples / block)
    if blocks > RUNS_MAX:
        # As many in each run, for as many threads as there may be.
        blocks = ceil(blocks / RUNS_MAX) * RUNS_MAX
    block = ceil(n_samples / blocks)
    if blocks > 1:
        block = ceil(block / TILE) * TILE
        blocks = ceil(n_samples / block)
    batch = piece = max(1, min(BATCH_VALUES // width, BATCH_ROWS_MAX) // block)
    keeps = blocks * block * width <= KEPT_VALUES
    if direct:
        # Few calls for many rows of a component, and yet enough runs to share out.
        batch = max(1, min(DIRECT_VALUES // n_components // block, ceil(blocks / DIRECT_RUNS)))
    batches = ceil(blocks / batch)
    if batches > 1 and not direct:
        piece = batch = ceil(blocks / (ceil(batches / 4) * 4))
        batches = ceil(blocks / batch)
    runs = 1 if n_samples * n_components * (n_terms + 20) < WORTH_A_THREAD else min(RUNS_MAX, batches)
    edges = [min(batches * i // runs * batch, blocks) for i in range(runs + 1)]
    cut = tuple((edges[i], min(edges[i + 1], blocks)) for i in range(runs))
    return Layout(n_terms, n_components, block, batch, min(piece, batch), parts, cut, keeps, direct)
