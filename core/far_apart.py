"""Greedy k-means++ over chunks of rows: the candidates of a round share one product with the rows."""

__all__ = ["choose_far_apart"]

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.spatial.distance import cdist

from core.assignment import Target
from core.frames import FramedChunk, FramedRows
from core.scratch import Scratch
from core.types import Floats, Ints, MapLike

# Squares that are not this many times twice the error of their products, two digits, are taken from differences.
DIGITS_WANTED = 100

# Rounds of less work than this, in products of a row's and a candidate's coordinate, are not worth handing to threads.
THREADS_PAY = 2**24
SCAN = 16  # what comparing squares costs in that unit


@dataclass(frozen=True)
class Reached:
    """Of a chunk's blocks of rows: the square of each row's distance to the nearest of the rows chosen before the last
    one, and weights unless all are 1, (b, m) each; and Σ w D² for each candidate chosen, too, (b, candidates)."""

    squares: Floats
    sample_weight: Floats | None
    masses: Floats

    @classmethod
    def nothing(cls, chunk: FramedChunk) -> "Reached":
        """Before any row is chosen, Σ w in the place of Σ w D²; zeros fill the last block."""
        kind = np.float64 if chunk.minute else np.float32
        shape = -(-chunk.n_samples // chunk.block), chunk.block
        weight = np.zeros(shape, kind)
        weight.ravel()[: chunk.n_samples] = chunk.sample_weight
        squares = np.where(weight > 0, kind(np.inf), kind(0))
        return cls(squares, None if chunk.unweighted else weight, weight.sum(axis=1)[:, None])


def choose_far_apart(rows: FramedRows, n_clusters: int, rng: np.random.Generator, chunk_map: MapLike = map) -> Ints:
    """Indices (n_clusters,) of rows chosen by greedy k-means++ (Arthur & Vassilvitskii 2007).

    Squares are right to two digits at least, and to all digits where they are least.
    """
    d, n_trials = rows.offset.shape[0], 2 + int(np.log(n_clusters))
    pays = rows.n_samples * n_trials * (d + SCAN) > THREADS_PAY
    reached = [Reached.nothing(chunk) for chunk in rows.chunks]
    weights = _masses(reached)[:, 0]
    chosen = _draw(rows, weights, 1, rng)
    last, trials = None, chosen
    while chosen.size < n_clusters:
        candidates = _take(rows, trials)
        centers = Target.of(candidates if last is None else np.concatenate([last, candidates]))
        items = list(zip(rows.chunks, reached, strict=True))
        reached = list((chunk_map if pays else map)(partial(_try, centers, last is not None), items))
        masses = _masses(reached)
        best = int(masses.sum(axis=0).argmin())
        if last is not None:
            chosen = np.append(chosen, trials[best])
        last = _take(rows, chosen[-1:])
        # With fewer distinct rows than clusters every distance is 0: any row is as good as another.
        far = bool(masses[:, best].any())
        known = (reached, Target.of(last)) if far else None
        trials = _draw(rows, masses[:, best] if far else weights, n_trials, rng, known)
    return chosen


def _masses(reached: list[Reached]) -> Floats:
    """Those of all blocks of all chunks, in their order."""
    return np.concatenate([part.masses for part in reached]).astype(np.float64)


def _take(rows: FramedRows, indices: Ints) -> Floats:
    """Rows (count, d) in the units of the fit."""
    owners = np.searchsorted([chunk.start for chunk in rows.chunks], indices, side="right") - 1
    taken = np.empty((indices.size, rows.offset.shape[0]))
    for owner in set(owners.tolist()):
        chunk, mine = rows.chunks[owner], owners == owner
        taken[mine] = chunk.exact(indices[mine] - chunk.start)
    return taken


def _draw(
    rows: FramedRows,
    masses: Floats,
    count: int,
    rng: np.random.Generator,
    reached: tuple[list[Reached], Target] | None = None,
) -> Ints:
    """Indices drawn with replacement: a block by its mass, and in it a row by w D², or by w where nothing is reached.

    What is `reached` lacks the row that was chosen last, which is the other of the pair.
    """
    cumulative = np.cumsum(masses)
    points = rng.random(count) * cumulative[-1]
    # The product may round up to the total: the last block with any mass is meant then.
    blocks = np.minimum(np.searchsorted(cumulative, points, side="right"), np.flatnonzero(masses)[-1])
    firsts = np.cumsum([0, *(-(-chunk.n_samples // chunk.block) for chunk in rows.chunks)])
    inside: dict[int, tuple[int, Floats]] = {}
    indices = np.empty(count, dtype=np.int64)
    for place, block in enumerate(blocks.tolist()):
        if block not in inside:
            owner = int(np.searchsorted(firsts, block, side="right")) - 1
            state = None if reached is None else (reached[0][owner], reached[1])
            inside[block] = _inside(rows.chunks[owner], block - int(firsts[owner]), state)
        start, within = inside[block]
        share = min((points[place] - (cumulative[block] - masses[block])) / masses[block], 1.0) * within[-1]
        # The first of the last equal ones: behind it, no row has any mass.
        last = int(np.searchsorted(within, within[-1]))
        indices[place] = start + min(int(np.searchsorted(within, share, side="right")), last)
    return indices


def _inside(chunk: FramedChunk, block: int, reached: tuple[Reached, Target] | None) -> tuple[int, Floats]:
    """The index of a block's first row, and cumulative w D², or w, of its rows."""
    part = slice(block * chunk.block, min((block + 1) * chunk.block, chunk.n_samples))
    mass: Floats = chunk.sample_weight[part]
    if reached is not None:
        state, last = reached
        with chunk.scratches.borrowed(Scratch) as scratch:
            to_last = _squares(last, chunk, part, scratch)[0, 0]
            mass = mass * np.minimum(state.squares[block], to_last)[: mass.size]
    return chunk.start + part.start, np.cumsum(mass)


def _try(target: Target, with_last: bool, item: tuple[FramedChunk, Reached]) -> Reached:
    """What each candidate would leave of a chunk's Σ w D²; `with_last`, the target's first is chosen already."""
    chunk, state = item
    squares, weight = state.squares, state.sample_weight
    masses = np.empty((len(squares), target.n_clusters - with_last), squares.dtype)
    with chunk.scratches.borrowed(Scratch) as scratch:
        for part in chunk.batches(target.n_clusters):
            places = slice(part.start // chunk.block, -(-part.stop // chunk.block))
            found, least = _squares(target, chunk, part, scratch), squares[places]
            if with_last:
                np.minimum(least, found[:, 0], out=least)
                found = found[:, 1:]
            np.minimum(found, least[:, None], out=found)
            if weight is None:
                np.add.reduce(found, axis=2, out=masses[places])
            else:
                masses[places] = (found @ weight[places, :, None])[:, :, 0]
    return Reached(squares, weight, masses)


def _squares(target: Target, chunk: FramedChunk, part: slice, scratch: Scratch) -> Floats:
    """Squared distances (b, t, m) of rows to the target's centres, right to two digits at least; in the scratch."""
    blocks = chunk.blocks(part)
    count, _, size = blocks.shape
    found = scratch.array("products", (count, target.n_clusters, size), np.float32)
    error, least = (scratch.array(name, (count, size), np.float32) for name in ("limit", "least"))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        np.matmul(target.whole, blocks, out=found)
        target.twice_error(blocks[:, -1], error, DIGITS_WANTED)
        np.minimum.reduce(found, axis=1, out=least)
        close = np.flatnonzero(~(least > error).ravel()[: part.stop - part.start])
    squares: Floats = found if not chunk.minute else found.astype(np.float64)
    if close.size:
        exact = cdist(chunk.exact(close + part.start), target.centers, "sqeuclidean")
        squares[close // size, :, close % size] = exact
    return squares
