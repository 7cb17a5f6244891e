"""Greedy k-means++ over chunks of rows: each round looks only at the rows that a candidate may be nearer to."""

__all__ = ["choose_far_apart"]

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from core.assignment import Target
from core.frames import FramedChunk, FramedRows, Places
from core.types import Floats, Ints, MapLike

# Squares that are not this many times twice the error of their products, three digits, are taken from differences.
DIGITS_WANTED = 2e3

# Smaller squares have no place among float32.
SMALLEST = 1e-30

# Looking at all rows costs less than picking most of them out.
MOST = 0.7

# Rounds of less work than this, in products of a row's and a centre's coordinate, are not worth handing to threads.
THREADS_PAY = 2**22
SCAN = 8  # what comparing a row's square costs in that unit


@dataclass(frozen=True)
class Reached:
    """Of a chunk: which of the chosen rows is nearest, the square of its distance, (m,) each; Σ w D²."""

    labels: NDArray[np.int32]
    squares: Floats
    mass: float


def choose_far_apart(rows: FramedRows, n_clusters: int, rng: np.random.Generator, chunk_map: MapLike = map) -> Ints:
    """Indices (n_clusters,) of rows chosen by greedy k-means++ (Arthur & Vassilvitskii 2007).

    A row nearer to its own chosen row than half of what lies between that one and a candidate cannot be nearer to the
    candidate (Raff 2021): it is not looked at.
    """
    n_trials = 2 + int(np.log(n_clusters))
    chosen = np.empty(n_clusters, dtype=np.int64)
    totals = np.array([float(chunk.sample_weight.sum()) for chunk in rows.chunks])
    chosen[:1] = _draw(rows, None, totals, 1, rng)
    centers = _take(rows, chosen[:1])
    looked = float(rows.n_samples)
    first = partial(_first, Target.of(centers))
    reached = list(_each(chunk_map, rows, looked * centers.size)(first, rows.chunks))
    for cluster in range(1, n_clusters):
        masses = np.array([part.mass for part in reached])
        # With fewer distinct rows than clusters every distance is 0: any row is as good as another.
        far = masses.any()
        candidates = _draw(rows, reached if far else None, masses if far else totals, n_trials, rng)
        trials = _take(rows, candidates)
        trial = partial(_try, Target.of(trials), cdist(centers, trials, "sqeuclidean").min(axis=1))
        tried = list(_each(chunk_map, rows, looked * trials.size)(trial, list(zip(rows.chunks, reached, strict=True))))
        looked = float(sum(part.looked for part in tried))
        best = int(np.sum([part.gains for part in tried], axis=0).argmax())
        chosen[cluster] = candidates[best]
        centers = np.concatenate([centers, trials[best : best + 1]])
        reached = [
            _reach(chunk, state, part, best, cluster)
            for chunk, state, part in zip(rows.chunks, reached, tried, strict=True)
        ]
    return chosen


def _each(chunk_map: MapLike, rows: FramedRows, work: float) -> MapLike:
    return chunk_map if SCAN * rows.n_samples + work > THREADS_PAY else map


def _take(rows: FramedRows, indices: Ints) -> Floats:
    """Rows (count, d) in the units of the fit."""
    starts = np.array([chunk.start for chunk in rows.chunks])
    owners = np.searchsorted(starts, indices, side="right") - 1
    return np.concatenate(
        [
            rows.chunks[owner].exact(np.array([index - starts[owner]]))
            for index, owner in zip(indices, owners, strict=True)
        ]
    )


def _draw(
    rows: FramedRows, reached: list[Reached] | None, masses: Floats, count: int, rng: np.random.Generator
) -> Ints:
    """Indices drawn with replacement, proportionally to w D², or to w where nothing is reached yet."""
    cumulative = np.cumsum(masses)
    within: dict[int, tuple[Floats, Floats]] = {}
    indices = np.empty(count, dtype=np.int64)
    for place, point in enumerate(rng.random(count) * cumulative[-1]):
        # The product may round up to the total: the last row with any mass is meant then.
        owner = min(int(np.searchsorted(cumulative, point, side="right")), int(np.flatnonzero(masses)[-1]))
        chunk = rows.chunks[owner]
        if owner not in within:
            weight = chunk.sample_weight
            mass = weight if reached is None else weight * reached[owner].squares
            within[owner] = mass, np.cumsum(mass)
        mass, inside = within[owner]
        before = cumulative[owner] - masses[owner]
        row = min(int(np.searchsorted(inside, point - before, side="right")), int(np.flatnonzero(mass)[-1]))
        indices[place] = chunk.start + row
    return indices


def _distances(target: Target, chunk: FramedChunk, places: Places) -> Floats:
    """Squared distances of rows to the target's centres, shape (k, m), right to three digits at least."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        B = chunk.augmented(places)
        norms = B[:, -1].copy()
        squares: Floats = target.table @ B[:, :-1].T
        squares += norms
        close = ~(squares.min(axis=0) > DIGITS_WANTED * target.twice_error(norms))
    blurred = np.flatnonzero(close)
    if not blurred.size:
        return squares
    exact = chunk.exact(blurred + places.start if isinstance(places, slice) else places[blurred])
    close_squares = cdist(target.centers, exact, "sqeuclidean")
    if (close_squares < SMALLEST).any():
        squares = squares.astype(np.float64)
    squares[:, blurred] = close_squares
    return squares


@dataclass(frozen=True)
class Tried:
    """Of a chunk: by how much each candidate would lessen Σ w D² (t,), and squared distances to them (t, rows)."""

    gains: Floats
    parts: list[Places]
    squares: list[Floats]
    looked: int


def _try(target: Target, near: Floats, item: tuple[FramedChunk, Reached]) -> Tried:
    """Tries candidates, the nearest of them `near` (k,) squared from each chosen row, on the rows it may concern."""
    chunk, state = item
    n_trials = target.n_clusters
    due = np.flatnonzero(4 * state.squares > near.take(state.labels))
    parts: list[Places] = [*chunk.blocks(n_trials)]
    if due.size < MOST * chunk.n_samples:
        size = chunk.blocks(n_trials)[0].stop
        parts = [due[start : start + size] for start in range(0, due.size, size)]
    gains, found = np.zeros(n_trials), []
    for part in parts:
        squares = _distances(target, chunk, part)
        saved = state.squares[part] - squares
        np.maximum(saved, 0, out=saved)
        gains += saved.sum(axis=1) if chunk.unweighted else saved @ chunk.sample_weight[part]
        found.append(squares)
    return Tried(gains, parts, found, due.size)


def _first(target: Target, chunk: FramedChunk) -> Reached:
    """What the one chosen row reaches."""
    squares = np.concatenate([_distances(target, chunk, part)[0] for part in chunk.blocks(1)]).astype(np.float64)
    mass = float((chunk.sample_weight * squares).sum())
    return Reached(np.zeros(chunk.n_samples, dtype=np.int32), squares, mass)


def _reach(chunk: FramedChunk, state: Reached, tried: Tried, best: int, label: int) -> Reached:
    """What is reached with the best candidate chosen, too; in the arrays of what was reached before."""
    labels, squares = state.labels, state.squares
    for part, found in zip(tried.parts, tried.squares, strict=True):
        nearer = found[best] < squares[part]
        if isinstance(part, slice):
            np.copyto(squares[part], found[best], where=nearer)
            np.copyto(labels[part], label, where=nearer)
        else:
            places = part[nearer]
            squares[places], labels[places] = found[best][nearer], label
    return Reached(labels, squares, float((chunk.sample_weight * squares).sum()))
