"""One fit in this process: prints the MiB that it needed at its peak above what was resident before.

Linux tells both: VmRSS, and VmHWM, the peak since it was last reset. (`ru_maxrss` would begin with the peak of the
process that started this one.)
"""

import re
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks.core.data import Array

LIBRARIES = {"ours": ("core", "core"), "theirs": ("sklearn.mixture", "sklearn.cluster")}


def fit(side: str, model: str, k: int, X: Array) -> None:
    """With its start, and a few iterations: the later ones need what the first ones do."""
    mixtures, clusters = (import_module(name) for name in LIBRARIES[side])
    if model == "k-means":
        clusters.KMeans(k, n_init=1, max_iter=5, random_state=0).fit(X)
    else:
        mixtures.GaussianMixture(k, covariance_type=model, max_iter=2, random_state=0).fit(X)


def status(name: str) -> float:
    """A line of the process's status, in MiB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1]) / 1024


def main() -> None:
    side, model, k, path = sys.argv[1:]
    warnings.simplefilter("ignore")
    X = np.load(path)
    fit(side, model, int(k), X[:1000].copy())
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    fit(side, model, int(k), X)
    print(status("VmHWM") - before)


if __name__ == "__main__":
    main()
