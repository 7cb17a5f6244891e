"""Columns of a file that are not features: weights and labels, named in the query."""

from typing import Any

import numpy as np

from app.domain.errors import InvalidRequest
from app.domain.rows import Rows


def split_columns(rows: Rows, roles: dict[str, str]) -> dict[str, Any]:
    """`instances` without the columns that `roles` names, and those columns as lists under their roles."""
    names = list(rows.names or (f"x{j}" for j in range(rows.n_features)))
    document: dict[str, Any] = {}
    taken = set()
    for role, column in roles.items():
        if column not in names:
            raise InvalidRequest.at(f"/query/{role}", f"{role} is {column!r}, which is not a column of the CSV.")
        j = names.index(column)
        taken.add(j)
        document[role] = _values(rows, j, role, column)
    keep = [j for j in range(rows.n_features) if j not in taken]
    left = None if rows.names is None else tuple(names[j] for j in keep)
    return document | {"instances": Rows(rows.X[:, keep], left)}


def _values(rows: Rows, j: int, role: str, column: str) -> list[float] | list[int]:
    values = rows.X[:, j]
    gaps = np.flatnonzero(np.isnan(values))
    if len(gaps):
        raise InvalidRequest.at(f"/query/{role}", f"Column {column!r} has no value in row {gaps[0]}.")
    if role != "labels":
        return [float(value) for value in values]
    if not (values == np.round(values)).all():
        raise InvalidRequest.at(f"/query/{role}", f"Column {column!r} holds fractions; labels are whole numbers.")
    return [int(value) for value in values]
