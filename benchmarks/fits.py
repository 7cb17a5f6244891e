"""From `POST /v1/fits` with `Prefer: wait` to its 200, at a warm worker; beside it, the fit alone.

Run by `make bench`. Prints medians of 50, and the service's over the bare fit's as a ratio.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from core import GaussianMixture
from tests.service import FAITHFUL, running

RUNS = 50


def main() -> None:
    rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
    params = {"n_components": 2, "random_state": 0}
    document = {"model": "geyser", "algorithm": "gaussian_mixture", "params": params}
    document |= {"data": {"instances": rows.tolist(), "feature_names": ["eruptions", "waiting"]}}
    served, alone = [], []
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory) / "data") as service,
        service.client() as http,
    ):
        for run in range(RUNS + 5):
            began = time.perf_counter()
            answer = http.post("/v1/fits", json=document, headers={"Prefer": "wait=10"})
            elapsed = time.perf_counter() - began
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] == "succeeded", answer.text
            began = time.perf_counter()
            GaussianMixture(**params).fit(rows)
            if run >= 5:  # the first ones warm both sides
                served.append(elapsed)
                alone.append(time.perf_counter() - began)
    ours, bare = statistics.median(served), statistics.median(alone)
    p95 = sorted(served)[int(0.95 * RUNS)]
    print(f"POST /v1/fits of {len(rows)} rows, median of {RUNS}: {ours * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms")
    print(f"the fit alone, in this process: {bare * 1e3:.1f} ms")
    print(f"ratio: {ours / bare:.1f}")


if __name__ == "__main__":
    main()
