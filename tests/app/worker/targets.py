"""Tasks for the tests of a slot: importable by its process. What they do is said in the fit's description."""

import os
from collections.abc import Generator
from typing import Any

import numpy as np

Document = dict[str, Any]


def run(task: Document, checkpoint: bytes) -> Generator[Document | bytes, None, tuple[Document, bytes]]:
    do = task["request"]["description"]
    yield {"do": do, "pid": os.getpid(), "from": checkpoint.decode()}
    yield f"{do}:{os.getpid()}".encode()
    match do:
        case "blas":  # a single call of half a minute or more
            np.linalg.svd(np.random.default_rng(0).normal(size=(4000, 4000)))
        case "die":
            os._exit(9)
        case "give up":
            os._exit(1)
        case "memory":
            np.ones(2**31)
    return {
        "algorithm": "kmeans",
        "params": {},
        "feature_names": ["x"],
        "n_samples": 1,
        "metrics": {"inertia": 0.0},
        "anomaly": {},
        "preprocess": {},
    }, b"a model"
