"""Two threads a side, set before any library starts its own."""

import os

from benchmarks.core.settings import THREADS

os.environ["OMP_NUM_THREADS"] = str(THREADS)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

from benchmarks.core.run import main

if __name__ == "__main__":
    main()
