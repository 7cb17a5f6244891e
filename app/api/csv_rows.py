"""Rows as CSV (RFC 4180): UTF-8, with or without a byte order mark, any line ends."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import MAX_FIELD_ERRORS, FieldError, InvalidRequest, MalformedBody
from app.domain.rows import MAX_FEATURES, Rows, check_names

MISSING = frozenset({"", "na", "nan", "null"})  # what R, pandas and databases write for "no value"

csv.field_size_limit(1 << 20)


def read_csv(file: TextIO, header: bool | None, pointer: str) -> Rows:
    """The rows of a CSV file, empty cells as NaN. `pointer` is where the rows stand in the request.

    `header` says whether the first line holds names; None takes it for one, unless it is all numbers: then
    the caller has to say what it is.

    Raises `MalformedBody` for what is not UTF-8, `InvalidRequest` for what is not CSV, with pointers to cells that
    are not numbers and to rows of another length.
    """
    try:
        lines = [line for line in csv.reader(file, strict=True) if line]
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The CSV is not UTF-8: byte {error.start} cannot be read.") from None
    except csv.Error as error:
        raise InvalidRequest.at(pointer, f"The body is not CSV: {error}.") from None
    names = tuple(name.strip() for name in lines.pop(0)) if header is not False and lines else None
    if not lines:
        raise InvalidRequest.at(pointer, "The CSV has no rows below its header." if names else "The CSV is empty.")
    width = len(names) if names is not None else len(lines[0])
    if width > MAX_FEATURES:
        raise InvalidRequest.at(f"{pointer}/0", f"The CSV has {width} columns; at most {MAX_FEATURES} are taken.")
    if header is None and names and all(_number(name) is not None for name in names):
        raise InvalidRequest.at(
            pointer, "The first line of the CSV holds numbers, not names: say header=false, or header=true if it does."
        )
    check_names(names or (), pointer.removesuffix("/instances") + "/feature_names")
    return Rows(_matrix(lines, width, names, pointer), names)


def write_csv(columns: Sequence[tuple[str, Sequence[object]]]) -> Iterator[str]:
    """The lines of a CSV whose columns are (name, values); None and non-finite values become empty."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for row in ([name for name, _ in columns], *zip(*(values for _, values in columns), strict=True)):
        writer.writerow([_cell(value) for value in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _matrix(lines: list[list[str]], width: int, names: tuple[str, ...] | None, pointer: str) -> NDArray[np.float64]:
    X = np.empty((len(lines), width))
    faults: list[FieldError] = []
    for i, line in enumerate(lines):
        if len(line) != width:
            faults.append(FieldError(f"{pointer}/{i}", f"Row {i} has {len(line)} cells; {width} are expected."))
        else:
            try:
                X[i] = [_parse(cell) for cell in line]
            except ValueError:
                faults += _bad_cells(line, i, names, pointer)
        if len(faults) >= MAX_FIELD_ERRORS:
            break
    if faults:
        raise InvalidRequest(faults[0].detail, faults)
    return X


def _bad_cells(line: list[str], i: int, names: tuple[str, ...] | None, pointer: str) -> list[FieldError]:
    return [
        FieldError(
            f"{pointer}/{i}/{j}",
            f"{cell[:60]!r} in row {i}, column {names[j] if names else j!r}, is not a finite number.",
        )
        for j, cell in enumerate(line)
        if _number(cell) is None and cell.strip().lower() not in MISSING
    ]


def _parse(cell: str) -> float:
    number = _number(cell)
    if number is None:
        if cell.strip().lower() in MISSING:
            return math.nan
        raise ValueError(cell)
    return number


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None
