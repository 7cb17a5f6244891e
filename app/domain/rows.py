"""Rows as they came in: a matrix, and the names of its columns when they were sent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import FeatureMismatch, FieldError, InvalidRequest

MAX_FEATURES = 10_000


@dataclass(frozen=True)
class Rows:
    """`X` (n, d) float64, NaN where a value is missing; `names` when the columns are named.

    `keyed` tells that each row was an object of its own: pointers then end in a name, not a number.
    """

    X: NDArray[np.float64]
    names: tuple[str, ...] | None = None
    keyed: bool = False

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    def pointer(self, row: int, column: int) -> str:
        """Where a cell stands below the pointer of the rows."""
        return f"/{row}/{escape(self.names[column]) if self.keyed and self.names else column}"


def escape(token: str) -> str:
    """A reference token of a JSON pointer (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")


def bind(rows: Rows, feature_names: Sequence[str], pointer: str = "/instances") -> NDArray[np.float64]:
    """The rows with their columns in the order of `feature_names`.

    Unnamed rows must have as many columns as there are features. Named ones may come in any order; a feature
    that is absent is missing throughout (NaN). Raises `FeatureMismatch`.
    """
    if rows.names is None:
        if rows.n_features != len(feature_names):
            raise FeatureMismatch.at(
                f"{pointer}/0",
                f"The rows have {rows.n_features} features; this model has {len(feature_names)}: "
                f"{_some(feature_names)}.",
            )
        return rows.X
    at = {name: j for j, name in enumerate(feature_names)}
    unknown = [name for name in rows.names if name not in at]
    if unknown:
        raise FeatureMismatch(
            f"The feature {unknown[0]!r} is not one of this model's: {_some(feature_names)}.",
            [
                FieldError(
                    f"{pointer}/{_first_row(rows, name)}/{escape(name)}", f"{name!r} is not a feature of this model."
                )
                for name in unknown
            ],
        )
    X = np.full((rows.n_rows, len(feature_names)), np.nan)
    X[:, [at[name] for name in rows.names]] = rows.X
    return X


def refuse_missing(X: NDArray[np.float64], rows: Rows | None, names: Sequence[str], pointer: str, what: str) -> None:
    """Raises `InvalidRequest` that points at the missing cells of `X`; `what` says who cannot take them."""
    missing = np.isnan(X)
    if not missing.any():
        return
    place = _place_in(rows, names)
    cells = np.argwhere(missing)
    errors = [
        FieldError(
            f"{pointer}/{i}/{place[j]}",
            f"{names[j]!r} is missing in row {i}; {what} needs a number there.",
        )
        for i, j in cells[:20].tolist()
    ]
    more = "" if len(cells) == 1 else f" {len(cells)} values are missing in all."
    raise InvalidRequest(errors[0].detail + more, errors)


def _first_row(rows: Rows, name: str) -> int:
    """The first row that has a value under the name."""
    assert rows.names is not None
    return int(np.argmin(np.isnan(rows.X[:, rows.names.index(name)])))


def _place_in(rows: Rows | None, names: Sequence[str]) -> list[str]:
    """For each feature, the last token of a pointer to it in the rows as they were sent."""
    if rows is None or rows.names is None:
        return [str(j) for j in range(len(names))]
    if rows.keyed:
        return [escape(name) for name in names]
    sent = {name: str(j) for j, name in enumerate(rows.names)}
    return [sent.get(name, escape(name)) for name in names]


def check_names(names: Sequence[str], pointer: str) -> None:
    """Raises `InvalidRequest` for an empty or a repeated feature name."""
    seen: set[str] = set()
    errors = []
    for j, name in enumerate(names):
        if not name or name != name.strip():
            detail = f"The name of feature {j} is {name!r}: empty, or with blanks around it."
            errors.append(FieldError(f"{pointer}/{j}", detail))
        elif len(name) > 256 or "\0" in name:
            errors.append(FieldError(f"{pointer}/{j}", "A feature name has at most 256 characters, and no NUL."))
        elif name in seen:
            errors.append(FieldError(f"{pointer}/{j}", f"The feature name {name!r} is repeated."))
        seen.add(name)
    if errors:
        raise InvalidRequest(errors[0].detail, errors)


def _some(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"
