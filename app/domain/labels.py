"""Labels of rows: whole numbers or texts, turned into codes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Label = int | str


def encode(labels: Sequence[Label]) -> tuple[list[Label], NDArray[np.int64]]:
    """The distinct labels in order, and for each row the place of its own among them, (n,)."""
    names: list[Label] = sorted(set(labels))  # all of one kind
    place = {name: code for code, name in enumerate(names)}
    return names, np.fromiter((place[label] for label in labels), dtype=np.int64, count=len(labels))


def text_of(value: float) -> str:
    """How a number that serves as a label is written."""
    return str(int(value)) if value == int(value) else repr(float(value))
