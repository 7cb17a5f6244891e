"""A dataset: a stored matrix with named columns and what is known of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Dataset:
    """`categories` gives, for a column that holds codes, the texts that the codes stand for.

    `sha256` is that of the bytes sent, `file_sha256` that of the file under `key`: None where it was not kept yet.
    """

    id: str
    name: str | None
    n_rows: int
    n_features: int
    feature_names: list[str]
    n_missing: int
    dtype: str
    bytes: int
    sha256: str
    summary: list[dict[str, Any]]
    categories: dict[str, list[str]]
    key: str
    file_sha256: str | None
    created_at: datetime
