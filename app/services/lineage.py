"""Where a version comes from. It is kept with the version, for it must outlive the job and the dataset."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from app.domain.fits import DataRef

LIBRARIES = ("mixtura", "numpy", "scipy")


def lineage_of_fit(data: DataRef, sha256: str) -> dict[str, Any]:
    """Of a fit in this process: the columns it was given, of a dataset of that sha256, and what computed it."""
    columns = asdict(data)
    dataset = {"id": columns.pop("dataset"), "sha256": sha256, **columns}
    return {"origin": "fit", "dataset": dataset, "libraries": libraries()}


def libraries() -> dict[str, str]:
    """What computes here, with its version."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
