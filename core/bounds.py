"""An assignment carried from centres to centres: only rows whose nearest one may have changed are looked at again.

Each row has a deadline. A cluster's clock runs by how far its centre and the farthest-moving other one went: by the
triangle inequality, what a row's lead, the distance to its second centre less that to its own, can have lost at most
(Hamerly 2010, with both bounds in one number). Until its cluster's clock reaches the deadline, a row keeps its label.
Clocks and deadlines only save work: labels and sums are those that looking at every row would give, to the bit.
"""

__all__ = ["Assignment", "Memory", "reassign"]

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.assignment import Nearest, Target, by_differences, nearest_two
from core.frames import FramedChunk, FramedRows, Places
from core.linalg import EPS
from core.sums import Quanta, sum_changes
from core.types import Floats, MapLike

# float32 rounds a clock and a deadline by less than this, relative to them.
ROUND_OFF = 2.0**-20

# Looking at all rows costs less than picking most of them out.
MOST = 0.8

# Clocks so far ahead of the last moves that float32 would blur these.
LATE = 2.0**12

# Steps of less work than this, in products of a row's and a centre's coordinate, are not worth handing to threads.
THREADS_PAY = 2**23
SCAN = 8  # what comparing a row's deadline costs in that unit

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Memory:
    """Of a chunk: each row's label, and the time of its cluster's clock at which it must be looked at; (m,) each."""

    labels: Labels
    deadlines: NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """How exact sums change: words of Σ w z (words, k, d) and of Σ w (words, k)."""

    sums: Floats
    weights: Floats

    def __add__(self, other: "Change") -> "Change":
        return Change(self.sums + other.sums, self.weights + other.weights)


@dataclass(frozen=True)
class Assignment:
    """All rows given to their nearest centres (k, d).

    `clocks` (k,), in the units of the fit; `memories`, one a chunk; `totals`, all changes together; `looked`, how many
    rows were looked at.
    """

    centers: Floats
    clocks: Floats
    memories: list[Memory]
    totals: Change
    looked: int

    @property
    def labels(self) -> Labels:
        """Labels of all rows (n,)."""
        return np.concatenate([memory.labels for memory in self.memories])

    @property
    def sums(self) -> Floats:
        """Σ w z of each cluster, shape (k, d)."""
        return _joined(self.totals.sums)

    @property
    def weights(self) -> Floats:
        """Σ w of each cluster, shape (k,)."""
        return _joined(self.totals.weights)


def _joined(words: Floats) -> Floats:
    """The values whose words these are; the smallest first."""
    total: Floats = words[-1].copy()
    for word in words[-2::-1]:
        total += word
    return total


def reassign(previous: Assignment | None, centers: Floats, rows: FramedRows, chunk_map: MapLike = map) -> Assignment:
    """The assignment of the rows to these centres, from any previous one of the same rows."""
    k, d = centers.shape
    looked, clocks = rows.n_samples, np.zeros(k)
    memories: list[Memory | None] = [None] * len(rows.chunks)
    afresh = True
    if previous is not None:
        looked, memories = previous.looked, list(previous.memories)
        times = _times(centers - previous.centers)
        clocks = previous.clocks + times
        afresh = looked >= MOST * rows.n_samples and float(clocks.max()) > LATE * float(times.max())
        if afresh:
            clocks = np.zeros(k)
    look = partial(_look, Target.of(centers), clocks, rows.quanta, afresh)
    pays = SCAN * rows.n_samples + looked * k * d > THREADS_PAY
    results = list((chunk_map if pays else map)(look, list(zip(rows.chunks, memories, strict=True))))
    words = len(rows.quanta.shifts)
    totals = Change(np.zeros((words, k, d)), np.zeros((words, k))) if previous is None else previous.totals
    # Exact, so that neither order nor history shows.
    for _, change, _ in results:
        if change is not None:
            totals = totals + change
    return Assignment(centers, clocks, [result[0] for result in results], totals, sum(result[2] for result in results))


def _times(moves: Floats) -> Floats:
    """How far each clock runs (k,): the centre's own move and the longest one of the others, rounded up."""
    with np.errstate(over="ignore"):
        lengths: Floats = np.sqrt(np.einsum("ij,ij->i", moves, moves)) * (1 + ROUND_OFF)
    longest = int(lengths.argmax())
    others = np.full(lengths.shape, lengths[longest])
    lengths[longest], most = 0.0, lengths[longest]
    others[longest] = lengths.max()
    lengths[longest] = most
    result: Floats = lengths + others
    return result


def _look(
    target: Target, clocks: Floats, quanta: Quanta, afresh: bool, item: tuple[FramedChunk, Memory | None]
) -> tuple[Memory, Change | None, int]:
    """A chunk's new memory, how the sums change (None: not at all), and the number of rows looked at."""
    chunk, memory = item
    k = target.n_clusters
    parts: list[Places] = [*chunk.blocks(k)]
    looked = chunk.n_samples
    if memory is not None and not afresh:
        now = (clocks * (1 + ROUND_OFF)).astype(np.float32)
        due = np.flatnonzero(now.take(memory.labels) >= memory.deadlines)
        if due.size == 0:
            return memory, None, 0
        if due.size < MOST * chunk.n_samples:
            looked, size = due.size, chunk.blocks(k)[0].stop
            parts = [due[start : start + size] for start in range(0, due.size, size)]
    if memory is None:
        labels, deadlines = np.empty(looked, dtype=np.int32), np.empty(looked, dtype=np.float32)
    else:
        labels, deadlines = memory.labels.copy(), memory.deadlines.copy()
    change: Change | None = None
    for part in parts:
        found, deadlines[part] = _nearest(target, clocks, chunk, part)
        before, moved = None, part
        if memory is not None:
            differ = np.flatnonzero(found != labels[part])
            if differ.size == 0:
                continue
            moved = differ + part.start if isinstance(part, slice) else part[differ]
            before = labels[moved]
            labels[moved] = found = found[differ]
        else:
            labels[moved] = found
        moves = _change(quanta, chunk, moved, found, before, k)
        change = moves if change is None else change + moves
    return Memory(labels, deadlines), change, looked


def _change(
    quanta: Quanta, chunk: FramedChunk, places: Places, labels: Labels, before: Labels | None, n_clusters: int
) -> Change:
    """What rows add to the sums of their clusters, less what they added to those of the clusters before."""
    weight, Z = chunk.sample_weight[places], chunk.exact(places)
    if not chunk.unweighted:
        Z *= weight[:, None]
    words = quanta.split(weight.copy())
    weights: Floats = np.array([np.bincount(labels, word, n_clusters) for word in words])
    if before is not None:
        weights -= np.array([np.bincount(before, word, n_clusters) for word in words])
    return Change(sum_changes(quanta.split(Z), labels, before, n_clusters), weights)


def _nearest(target: Target, clocks: Floats, chunk: FramedChunk, part: Places) -> tuple[Labels, Floats]:
    """Labels of a block of rows, and their deadlines; those that products leave open have passed them already."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        nearest = nearest_two(target, chunk.augmented(part))
        times = _deadlines(target, clocks, nearest)
    undecided = np.flatnonzero(~(nearest.surely > 0))
    if undecided.size:
        places = undecided + part.start if isinstance(part, slice) else part[undecided]
        nearest.labels[undecided] = by_differences(chunk.exact(places), target.centers)[0]
        times[undecided] = -np.inf
    return nearest.labels, times


def _deadlines(target: Target, clocks: Floats, nearest: Nearest) -> Floats:
    """The clock's time and the lead: √(s + Δ) − √s = Δ / (√(s + Δ) + √s), s the square, Δ `surely`.

    Both rounded to the safe side, by as much more as differences need to see who is nearer.
    """
    if target.n_clusters == 1:
        return np.full(nearest.labels.shape, np.inf)
    square = nearest.least + nearest.squares
    np.maximum(square, 0, out=square)
    square += nearest.error
    square += np.float32(ROUND_OFF) * nearest.squares
    far = np.sqrt(square + nearest.surely)
    lead: Floats = nearest.surely / (far + np.sqrt(square))
    lead *= 1 - 8 * ROUND_OFF
    far *= 4 * (target.centers.shape[1] + 4) * EPS
    lead -= far
    lead += clocks.astype(np.float32).take(nearest.labels)
    lead *= 1 - ROUND_OFF
    # Not a number where nothing is known: look again.
    result: Floats = np.fmax(lead, -np.inf)
    return result
