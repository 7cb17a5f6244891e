"""Peak memory of a fit above that of its data, each fit in a process of its own."""

__all__ = ["cases"]

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from benchmarks.core.cases import Case, Figure, at_most
from benchmarks.core.data import blobs
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape

SHAPE = Shape(1_000_000, 8, 8)
MODELS = ("full", "tied", "diag", "spherical", "k-means")
ROOT = Path(__file__).parents[2]


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    shape = settings.shape(SHAPE)
    for model in MODELS:
        yield Case("peak memory", f"{model}, {shape}", "scikit-learn", partial(peaks, shape, model), at_most(64))


def peaks(shape: Shape, model: str) -> Figure | str:
    """MiB of either side; the data itself is as large as the note says."""
    if not Path("/proc/self/clear_refs").exists():
        return "not measured: needs Linux's /proc"
    X = blobs(shape).X
    with NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, X)
        file.flush()
        ours, theirs = (peak(side, model, shape.k, file.name) for side in ("ours", "theirs"))
    return Figure(ours, ours, theirs, "MiB", note=f"the data: {X.nbytes / 2**20:.0f} MiB")


def peak(side: str, model: str, k: int, path: str) -> float:
    """What a process of its own found."""
    command = [sys.executable, "-m", "benchmarks.core.resident", side, model, str(k), path]
    return float(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
