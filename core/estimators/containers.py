"""What a transformer returns: an array, or the data frame that scikit-learn's users may ask for."""

__all__ = ["CONTAINERS", "contained", "wanted_globally"]

import sys
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from core.types import Floats

CONTAINERS = ("default", "pandas", "polars")


def wanted_globally() -> str:
    """The container of scikit-learn's configuration, where it is in use."""
    theirs = sys.modules.get("sklearn")
    return "default" if theirs is None else str(theirs.get_config()["transform_output"])


def contained(values: Floats, columns: NDArray[Any], X: object, container: str) -> Any:
    """Values (n, k) as they are, or as a data frame with these columns and, for pandas, the index of X.

    Raises `ImportError` when the package of that name is not installed.
    """
    if container == "default":
        return values
    frames = import_module(container)
    if container == "polars":
        return frames.DataFrame(values, schema=columns.tolist())
    return frames.DataFrame(values, index=getattr(X, "index", None), columns=columns, copy=False)
