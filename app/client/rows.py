"""Rows on their way to the service: arrays, lists, mappings, or a file in a format that it reads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Body", "Rows", "Source", "artifact_body", "file_body", "instances", "json_body"]

Rows: TypeAlias = NDArray[Any] | Sequence[Sequence[float | None]] | Sequence[Mapping[str, float | None]]
"""Rows of numbers in feature order, or mappings keyed by feature name; NaN and None are missing values."""

Source: TypeAlias = Rows | bytes | str | os.PathLike[str]
"""Rows, the bytes of a CSV, or the path of a file."""

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class Body:
    """What a request carries. It is opened once an attempt, so that a file can be sent again."""

    media_type: str
    open: Callable[[], AbstractContextManager[bytes | BinaryIO]]


def json_body(payload: Mapping[str, Any]) -> Body:
    """The payload as JSON; numpy's numbers and arrays become plain ones.

    Raises ValueError for a number that is not finite: JSON has none.
    """
    content = json.dumps(payload, allow_nan=False, default=_plain).encode()
    return Body("application/json", lambda: nullcontext(content))


def file_body(source: bytes | str | os.PathLike[str]) -> Body:
    """The bytes of a CSV, or a file whose ending names its format; it is streamed from the disk."""
    if isinstance(source, bytes):
        return Body("text/csv", lambda: nullcontext(source))
    path = Path(source)
    try:
        media_type = MEDIA_TYPES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(MEDIA_TYPES)
        raise ValueError(f"{path.name}: the ending of a file names its format, one of {known}") from None
    return Body(media_type, lambda: path.open("rb"))


def artifact_body(source: bytes | str | os.PathLike[str]) -> Body:
    """A model file, or the bytes of one."""
    if isinstance(source, bytes):
        return Body("application/octet-stream", lambda: nullcontext(source))
    path = Path(source)
    return Body("application/octet-stream", lambda: path.open("rb"))


def instances(rows: Rows) -> list[Any]:
    """Rows as JSON has them: finite numbers, and None for what is missing.

    Raises ValueError for an infinite value and for an array that is not 2-D. Whatever else may be wrong with
    the rows is left for the service to say: it names the place.
    """
    if hasattr(rows, "__array__"):
        return _array(np.asarray(rows))
    return [_row(row, number) for number, row in enumerate(rows)]


def _array(array: NDArray[Any]) -> list[Any]:
    if array.ndim != 2:
        raise ValueError(f"instances must be 2-D, (n_samples, n_features), and this array is {array.ndim}-D")
    if array.dtype.kind != "f":
        return [_row(row, number) for number, row in enumerate(array.tolist())]
    infinite = np.argwhere(np.isinf(array))
    if len(infinite):
        _refuse(int(infinite[0, 0]), int(infinite[0, 1]))
    plain = array.astype(object)
    plain[np.isnan(array)] = None
    return list(plain.tolist())


def _row(row: Any, number: int) -> Any:
    if isinstance(row, Mapping):
        return {str(name): _cell(value, number, name) for name, value in row.items()}
    if isinstance(row, Sequence | np.ndarray) and not isinstance(row, str):
        return [_cell(value, number, column) for column, value in enumerate(row)]
    return row


def _cell(value: Any, row: int, column: object) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else _refuse(row, column)
    return value


def _refuse(row: int, column: object) -> None:
    raise ValueError(f"instances: row {row}, column {column} is infinite; the service takes finite numbers only")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
