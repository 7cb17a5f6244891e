"""The rows' decoder accepts and refuses what its declared schema does, and gives the very numbers."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic_core import PydanticCustomError

from app.api.instances import SCHEMA, parse_instances

numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
cells = numbers | st.booleans() | st.text(max_size=3) | st.lists(numbers, max_size=1)
lists = st.lists(st.lists(cells, max_size=3), max_size=4)
objects = st.lists(st.dictionaries(st.text(max_size=3), cells, max_size=3), max_size=4)
anything = st.recursive(
    cells, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
)

DECLARED = Draft202012Validator(SCHEMA)


def rectangular(value: list[Any]) -> bool:
    """What JSON Schema cannot say."""
    return not isinstance(value[0], list) or len({len(row) for row in value}) == 1


@given(lists | objects | anything)
def test_it_agrees_with_the_declared_schema(value: Any) -> None:
    try:
        rows = parse_instances(value)
    except PydanticCustomError as error:
        assert not DECLARED.is_valid(value) or not rectangular(value)
        faults = (error.context or {})["cells"]
        assert 1 <= len(faults) <= 20
        return
    if any(value):  # the schema wants a key in each object; a row of a dataset may lack them all
        assert DECLARED.is_valid(value) or {} in value
    assert rows.X.dtype == np.float64


@given(st.integers(1, 4).flatmap(lambda d: st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=1)))
def test_lists_keep_their_numbers(value: list[list[float | None]]) -> None:
    expected = [[np.nan if cell is None else float(cell) for cell in row] for row in value]
    assert np.array_equal(parse_instances(value).X, expected, equal_nan=True)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), numbers, min_size=1), min_size=1))
def test_objects_keep_their_numbers_and_their_order_of_appearance(value: list[dict[str, float | None]]) -> None:
    rows = parse_instances(value)
    assert rows.names is not None
    assert list(rows.names) == list(dict.fromkeys(name for row in value for name in row))
    for i, row in enumerate(value):
        for j, name in enumerate(rows.names):
            cell = row.get(name)
            assert np.isnan(rows.X[i, j]) if cell is None else rows.X[i, j] == float(cell)
