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
from core.scratch import Scratch
from core.sums import sums_moved
from core.types import Floats, Ints, MapLike

# float32 rounds a clock and a deadline by less than this, relative to them.
ROUND_OFF = 2.0**-20

# Looking at all rows costs less than picking most of them out.
MOST = 0.8

# Clocks so far ahead of the last moves that float32 would blur these.
LATE = 2.0**12

# The share of labels that change below which deadlines are made, where a row's products are worth being saved: in
# products of a row's and a centre's coordinate, as below.
SETTLED, BOUNDS_PAY = 0.02, 2**12

# Steps of less work than this, in products of a row's and a centre's coordinate, are not worth handing to threads.
THREADS_PAY = 2**23
SCAN = 16  # what taking the least of a row's products costs in that unit, a centre

Labels = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Memory:
    """Of a chunk: each row's label (m,), the sums by label in exact parts, as `sums_moved`, the time of its cluster's
    clock at which a row must be looked at (m,), or None where deadlines were not made, and whether few labels changed
    when rows were last looked at, and to look again costs much."""

    labels: Labels
    parts: Floats
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
    if previous is not None and any(memory.deadlines is not None for memory in previous.memories):
        times = _times(centers - previous.centers)
        clocks = previous.clocks + times
        if float(clocks.max()) > LATE * float(times.max()) > 0:
            memories = [replace(memory, deadlines=None) for memory in previous.memories]
            clocks = np.zeros(k)
    look = partial(_look, Target.of(centers), clocks)
    pays = rows.n_samples * (k * (d + SCAN) + 8 * d) > THREADS_PAY
    results = list((chunk_map if pays else map)(look, list(zip(rows.chunks, memories, strict=True))))
    parts = sum((memory.parts for memory, _ in results[1:]), results[0][0].parts)
    sums = rows.chunks[0].grid.joined(parts)
    looked = sum(count for _, count in results)
    return Assignment(centers, clocks, [memory for memory, _ in results], sums[:, :d], sums[:, d], looked)


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


def _look(target: Target, clocks: Floats, item: tuple[FramedChunk, Memory | None]) -> tuple[Memory, int]:
    """A chunk's new memory, and the number of rows looked at."""
    chunk, before = item
    due = None
    if before is not None and before.deadlines is not None:
        now = (clocks * (1 + ROUND_OFF)).astype(np.float32)
        due = np.flatnonzero(now.take(before.labels) >= before.deadlines)
    looked, deadlines = chunk.n_samples, None
    if before is not None and due is not None and due.size < MOST * chunk.n_samples:
        if due.size == 0:
            return before, 0
        labels, deadlines, looked = *_again(target, clocks, chunk, before, due), due.size
    elif before is not None and before.settled and due is None:
        labels, deadlines = _with_deadlines(target, clocks, chunk)
    else:
        labels = _labelled(target, chunk)
    moved, changed = sums_moved(chunk, None if before is None else before.labels, labels, target.n_clusters)
    costly = target.centers.size + SCAN * target.n_clusters > BOUNDS_PAY
    settled = costly and changed < SETTLED * chunk.n_samples
    return Memory(labels, moved if before is None else before.parts + moved, deadlines, settled), looked


def _again(target: Target, clocks: Floats, chunk: FramedChunk, before: Memory, due: Ints) -> tuple[Labels, Floats]:
    """Labels and deadlines once the rows whose time has come were looked at."""
    assert before.deadlines is not None
    labels, deadlines = before.labels.copy(), before.deadlines.copy()
    size = chunk.batches(target.n_clusters)[0].stop
    with chunk.scratches.borrowed(Scratch) as scratch:
        for start in range(0, due.size, size):
            places = due[start : start + size]
            labels[places], deadlines[places] = _nearest(target, clocks, chunk, places, scratch)
    return labels, deadlines


def _with_deadlines(target: Target, clocks: Floats, chunk: FramedChunk) -> tuple[Labels, Floats]:
    """Labels and deadlines of all rows of a chunk."""
    labels = np.empty(chunk.n_samples, dtype=target.index_type)
    deadlines = np.empty(chunk.n_samples, dtype=np.float32)
    with chunk.scratches.borrowed(Scratch) as scratch:
        for part in chunk.batches(target.n_clusters):
            labels[part], deadlines[part] = _nearest(target, clocks, chunk, part, scratch)
    return labels, deadlines


def _labelled(target: Target, chunk: FramedChunk) -> Labels:
    """Labels of all rows of a chunk."""
    n_samples, size = chunk.n_samples, chunk.block
    labels = np.empty((-(-n_samples // size), size), dtype=target.index_type)
    rows = labels.ravel()[:n_samples]
    with chunk.scratches.borrowed(Scratch) as scratch, np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for part in chunk.batches(target.n_clusters):
            blocks = chunk.blocks(part)
            first = part.start // size
            undecided = nearest_one(target, blocks, scratch, labels[first : first + len(blocks)])
            undecided = undecided[undecided < part.stop - part.start] + part.start
            if undecided.size:
                rows[undecided] = by_differences(chunk.exact(undecided), target.centers)[0]
    return rows


def _nearest(
    target: Target, clocks: Floats, chunk: FramedChunk, part: Places, scratch: Scratch
) -> tuple[NDArray[np.int32], Floats]:
    """Labels of a batch of rows, and their deadlines; those that products leave open have passed them already."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        nearest = nearest_two(target, chunk.blocks(part), scratch)
        times = _deadlines(target, clocks, nearest)
    size = part.stop - part.start if isinstance(part, slice) else part.size
    labels, times = nearest.labels[:size], times[:size]
    undecided = np.flatnonzero(~(nearest.surely[:size] > 0))
    if undecided.size:
        places = undecided + part.start if isinstance(part, slice) else part[undecided]
        labels[undecided] = by_differences(chunk.exact(places), target.centers)[0]
        times[undecided] = -np.inf
    return labels, times


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
