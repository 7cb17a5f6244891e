"""Rows as CSV (RFC 4180): UTF-8, with or without a byte order mark, any line ends."""

import csv
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
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
        lines: Iterator[list[str]] = (line for line in csv.reader(file, strict=True) if line)
        first = next(lines, None)
        if first is None:
            raise InvalidRequest.at(pointer, "The CSV is empty.")
        if len(first) > MAX_FEATURES:
            detail = f"The CSV has {len(first)} columns; at most {MAX_FEATURES} are taken."
            raise InvalidRequest.at(f"{pointer}/0", detail)
        names = None if header is False else _names(first, header, pointer)
        if names is None:
            lines = chain([first], lines)
        return Rows(_matrix(lines, len(first), names, pointer), names)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The CSV is not UTF-8: byte {error.start} cannot be read.") from None
    except csv.Error as error:
        raise InvalidRequest.at(pointer, f"The body is not CSV: {error}.") from None


def _names(line: list[str], header: bool | None, pointer: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in line)
    if header is None and all(_number(name) is not None for name in names):
        raise InvalidRequest.at(
            pointer, "The first line of the CSV holds numbers, not names: say header=false, or header=true if it does."
        )
    check_names(names, pointer.removesuffix("/instances") + "/feature_names")
    return names


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


def _matrix(lines: Iterable[list[str]], width: int, names: tuple[str, ...] | None, pointer: str) -> NDArray[np.float64]:
    cells = array("d")  # eight bytes a cell: lists of lists of a large file would need a hundred
    faults: list[FieldError] = []
    n_rows = 0
    for i, line in enumerate(lines):
        n_rows += 1
        if len(line) != width:
            faults.append(FieldError(f"{pointer}/{i}", f"Row {i} has {len(line)} cells; {width} are expected."))
            continue
        numbers = [_number(cell) for cell in line]
        if None in numbers:
            faults += _bad_cells(line, i, names, pointer)
            numbers = [math.nan if number is None else number for number in numbers]
        cells.extend(numbers)  # type: ignore[arg-type]  # no None is left
        if len(faults) >= MAX_FIELD_ERRORS:
            break
    if faults:
        raise InvalidRequest(faults[0].detail, faults)
    if n_rows == 0:
        raise InvalidRequest.at(pointer, "The CSV has no rows below its header.")
    return np.frombuffer(cells, dtype=np.float64).reshape(n_rows, width)


def _bad_cells(line: list[str], i: int, names: tuple[str, ...] | None, pointer: str) -> list[FieldError]:
    return [
        FieldError(
            f"{pointer}/{i}/{j}",
            f"{cell[:60]!r} in row {i}, column {names[j] if names else j!r}, is not a finite number.",
        )
        for j, cell in enumerate(line)
        if _number(cell) is None and cell.strip().lower() not in MISSING
    ]


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None
