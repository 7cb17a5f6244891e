"""An assignment carried from centres to centres: once few labels change, only rows are looked at whose own may.

Each row has a deadline. A cluster's clock runs by how far its centre and the farthest-moving other one went: by the
triangle inequality, what a row's lead, the distance to its second centre less that to its own, can have lost at most
(Hamerly 2010, with both bounds in one number). Until its cluster's clock reaches the deadline, a row keeps its label.
Clocks and deadlines only save work: labels are those that looking at every row would give, and sums are taken of all
rows by their labels, so that neither depends on what was known before, to the bit. A deadline needs the second centre,
and that costs more than the first: while many labels change no deadline is made.
"""

__all__ = ["Assignment", "Memory", "reassign"]

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.assignment import Nearest, Target, by_differences, nearest_one, nearest_two
from core.frames import FramedChunk, FramedRows, Places
from core.linalg import EPS
from core.sums import sums_by_label
from core.types import Floats, Ints, MapLike

# float32 rounds a clock and a deadline by less than this, relative to them.
ROUND_OFF = 2.0**-20

# Looking at all rows costs less than picking most of them out.
MOST = 0.8

# Clocks so far ahead of the last moves that float32 would blur these.
LATE = 2.0**12

# The share of labels that change below which deadlines are made.
SETTLED = 0.02

# Steps of less work than this, in products of a row's and a centre's coordinate, are not worth handing to threads.
THREADS_PAY = 2**22
SCAN = 16  # what taking the least of a row's products costs in that unit, a centre

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Memory:
    """Of a chunk: each row's label (m,), the time of its cluster's clock at which it must be looked at (m,), or None
    where deadlines were not made, and whether few labels changed when it was last looked at."""

    labels: Labels
    deadlines: NDArray[np.float32] | None = None
    settled: bool = False


@dataclass(frozen=True)
class Assignment:
    """All rows given to their nearest centres (k, d).

    `clocks` (k,), in the units of the fit; `memories`, one a chunk; Σ w z of each cluster, `sums` (k, d), and Σ w,
    `weights` (k,); `looked`, how many rows were looked at.
    """

    centers: Floats
    clocks: Floats
    memories: list[Memory]
    sums: Floats
    weights: Floats
    looked: int

    @property
    def labels(self) -> Labels:
        """Labels of all rows (n,)."""
        return np.concatenate([memory.labels for memory in self.memories])


def reassign(previous: Assignment | None, centers: Floats, rows: FramedRows, chunk_map: MapLike = map) -> Assignment:
    """The assignment of the rows to these centres, from any previous one of the same rows."""
    k, d = centers.shape
    clocks = np.zeros(k)
    memories: list[Memory | None] = [None] * len(rows.chunks)
    if previous is not None:
        memories = list(previous.memories)
        times = _times(centers - previous.centers)
        clocks = previous.clocks + times
        if float(clocks.max()) > LATE * float(times.max()) > 0:
            memories = [replace(memory, deadlines=None) for memory in previous.memories]
            clocks = np.zeros(k)
    look = partial(_look, Target.of(centers), clocks)
    pays = rows.n_samples * (k * (d + SCAN) + 8 * d) > THREADS_PAY
    results = list((chunk_map if pays else map)(look, list(zip(rows.chunks, memories, strict=True))))
    sums, weights = np.zeros((k, d)), np.zeros(k)
    for _, _, (part, mass) in results:
        sums += part
        weights += mass
    return Assignment(centers, clocks, [r[0] for r in results], sums, weights, sum(r[1] for r in results))


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
    target: Target, clocks: Floats, item: tuple[FramedChunk, Memory | None]
) -> tuple[Memory, int, tuple[Floats, Floats]]:
    """A chunk's new memory, the number of rows looked at, and sums and weights by label."""
    chunk, before = item
    due = None
    if before is not None and before.deadlines is not None:
        now = (clocks * (1 + ROUND_OFF)).astype(np.float32)
        due = np.flatnonzero(now.take(before.labels) >= before.deadlines)
    if due is not None and due.size < MOST * chunk.n_samples:
        assert before is not None
        memory, looked = _again(target, clocks, chunk, before, due), due.size
    elif before is not None and before.settled and due is None:
        memory, looked = _with_deadlines(target, clocks, chunk), chunk.n_samples
    else:
        labels = np.empty(chunk.n_samples, dtype=np.int32)
        for part in chunk.blocks(target.n_clusters):
            labels[part] = _labels(target, chunk, part)
        changed = chunk.n_samples if before is None else int(np.count_nonzero(labels != before.labels))
        settled = changed < SETTLED * chunk.n_samples
        memory, looked = Memory(labels, None, settled), chunk.n_samples
    return memory, looked, sums_by_label(chunk, memory.labels, target.n_clusters)


def _again(target: Target, clocks: Floats, chunk: FramedChunk, before: Memory, due: Ints) -> Memory:
    """What is known once the rows whose time has come were looked at."""
    if due.size == 0:
        return before
    assert before.deadlines is not None
    labels, deadlines = before.labels.copy(), before.deadlines.copy()
    size = chunk.blocks(target.n_clusters)[0].stop
    for start in range(0, due.size, size):
        places = due[start : start + size]
        labels[places], deadlines[places] = _nearest(target, clocks, chunk, places)
    return Memory(labels, deadlines, True)


def _with_deadlines(target: Target, clocks: Floats, chunk: FramedChunk) -> Memory:
    labels, deadlines = np.empty(chunk.n_samples, dtype=np.int32), np.empty(chunk.n_samples, dtype=np.float32)
    for part in chunk.blocks(target.n_clusters):
        labels[part], deadlines[part] = _nearest(target, clocks, chunk, part)
    return Memory(labels, deadlines, True)


def _labels(target: Target, chunk: FramedChunk, part: slice) -> Labels:
    """Labels of a block of rows."""
    labels, undecided = nearest_one(target, chunk.augmented(part))
    if undecided.size:
        labels[undecided] = by_differences(chunk.exact(undecided + part.start), target.centers)[0]
    return labels


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
