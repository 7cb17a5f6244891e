import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.api.csv_rows import read_csv, write_csv
from app.domain.errors import InvalidRequest, MalformedBody

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.lists(st.text("abc,;\"' \nü", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4, unique=True)


@given(names, st.data())
def test_what_is_written_is_read(names: list[str], data: st.DataObject) -> None:
    row = st.lists(finite | st.none(), min_size=len(names), max_size=len(names))
    # A line of one empty cell is an empty line: nothing could tell it from no line at all.
    rows = data.draw(st.lists(row.filter(lambda r: r != [None]), min_size=1, max_size=5))
    text = "".join(write_csv(list(zip(names, zip(*rows, strict=True), strict=True))))
    read = read_csv(io.StringIO(text, newline=""), True, "/instances")
    assert read.names == tuple(names)
    assert np.array_equal(read.X, np.array(rows, dtype=float), equal_nan=True)


@given(st.text(max_size=200), st.sampled_from([True, False, None]))
def test_any_text_is_read_or_refused_by_name(text: str, header: bool | None) -> None:
    try:
        read = read_csv(io.StringIO(text, newline=""), header, "/instances")
    except (InvalidRequest, MalformedBody):
        return
    assert read.n_rows >= 1
    assert not np.isinf(read.X).any()
