"""Rows as JSON: a list of lists, or of objects keyed by feature name; checked cell by cell."""

from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Any

import numpy as np
import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.domain.errors import MAX_FIELD_ERRORS
from app.domain.rows import MAX_FEATURES, Rows, escape

Fault = tuple[str, str]  # a pointer below the rows, and a sentence

_NUMBERS = frozenset({int, float})
_CELLS = frozenset({int, float, type(None)})

CELL = {"anyOf": [{"type": "number"}, {"type": "null"}]}
SCHEMA: dict[str, Any] = {
    "description": "Rows: lists of numbers in feature order, all of one length, or objects keyed by feature name. "
    "`null` (or an absent key) is a missing value, which only some verbs take.",
    "anyOf": [
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "items": CELL, "minItems": 1, "maxItems": MAX_FEATURES},
        },
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "additionalProperties": CELL, "minProperties": 1},
        },
    ],
}


class _InstancesType:
    """Tells pydantic how a list becomes `Rows`, and OpenAPI what the list looks like."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(parse_instances)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return SCHEMA


Instances = Annotated[Rows, _InstancesType]


def parse_instances(value: Any) -> Rows:
    """The rows, or an error that points at up to 20 faulty cells."""
    if isinstance(value, Rows):  # already read from another format
        return value
    if not isinstance(value, list):
        raise refusal([("", "instances should be a list of rows.")])
    if not value:
        raise refusal([("", "There are no rows; at least one is needed.")])
    return _keyed(value) if isinstance(value[0], dict) else _listed(value)


def _listed(rows: list[Any]) -> Rows:
    faults = [
        (f"/{i}", "A row should be a list of numbers, like the first." if i else "A row should be a list or an object.")
        for i, row in enumerate(rows)
        if not isinstance(row, list)
    ]
    if faults:
        raise refusal(faults)
    width = len(rows[0])
    _check_width(width)
    faults = [
        (f"/{i}", f"This row has {len(row)} values, the first has {width}.")
        for i, row in enumerate(rows)
        if len(row) != width
    ]
    if faults:
        raise refusal(faults)
    kinds = set(map(type, chain.from_iterable(rows)))  # one pass in C; bool is not int here
    if not kinds <= _CELLS:
        raise refusal(
            (f"/{i}/{j}", _not_a_number(cell))
            for i, row in enumerate(rows)
            for j, cell in enumerate(row)
            if type(cell) not in _CELLS
        )
    return Rows(np.array(rows, dtype=np.float64))


def _keyed(rows: list[Any]) -> Rows:
    faults = [
        (f"/{i}", "A row should be an object, like the first.") for i, row in enumerate(rows) if type(row) is not dict
    ]
    if faults:
        raise refusal(faults)
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    _check_width(len(names))
    kinds = set(map(type, chain.from_iterable(row.values() for row in rows)))
    if not kinds <= _CELLS:
        raise refusal(
            (f"/{i}/{escape(name)}", _not_a_number(cell))
            for i, row in enumerate(rows)
            for name, cell in row.items()
            if type(cell) not in _CELLS
        )
    matrix = [[row.get(name) for name in names] for row in rows]
    return Rows(np.array(matrix, dtype=np.float64), tuple(names), keyed=True)


def _check_width(width: int) -> None:
    if width == 0:
        raise refusal([("/0", "The rows have no features; at least one is needed.")])
    if width > MAX_FEATURES:
        raise refusal([("/0", f"The rows have {width} features; at most {MAX_FEATURES} are taken.")])


def _not_a_number(cell: Any) -> str:
    shown = orjson.dumps(cell).decode()
    return f"{shown if len(shown) <= 60 else shown[:57] + '…'} is not a number."


def refusal(faults: Iterable[Fault]) -> PydanticCustomError:
    """The error that points at the first faults, at most as many as a problem holds."""
    cells: list[Fault] = []
    for fault in faults:
        cells.append(fault)
        if len(cells) == MAX_FIELD_ERRORS:
            break
    return PydanticCustomError("rows", "{detail}", {"detail": cells[0][1], "cells": cells})
