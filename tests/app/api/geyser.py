"""Old Faithful, and fits of it, for tests over HTTP."""

from typing import Any

import httpx
import numpy as np

from tests.service import FAITHFUL

GEYSER = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
NAMES = ["eruptions", "waiting"]


def fit_document(model: str, **changes: Any) -> dict[str, Any]:
    """A fit of two components, changed."""
    document: dict[str, Any] = {
        "model": model,
        "algorithm": "gaussian_mixture",
        "params": {"n_components": 2, "random_state": 0},
        "data": {"instances": GEYSER.tolist(), "feature_names": NAMES},
    }
    return document | changes


def fit(http: httpx.Client, model: str, **changes: Any) -> dict[str, Any]:
    """The job of a fit that has succeeded."""
    answer = http.post("/v1/fits", json=fit_document(model, **changes), headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    assert job["status"] == "succeeded", job
    return job
