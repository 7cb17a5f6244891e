"""Answers: the media type that the caller accepts, JSON without non-finite numbers, rows as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

import mimeparse
import numpy as np
import orjson
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from app.api.csv_rows import write_csv
from app.domain.errors import NotAcceptable

JSON = "application/json"
CSV = "text/csv"


class Accepts:
    """A dependency: the best of `offered` by the request's `Accept`; raises `NotAcceptable`."""

    def __init__(self, *offered: str) -> None:
        self.offered = offered

    def __call__(self, request: Request) -> str:
        header = ", ".join(request.headers.getlist("accept")).strip().lower()
        if not header:
            return self.offered[0]
        try:
            # The best match takes the last of equals: the first offered is the one preferred.
            best: str = mimeparse.best_match(list(reversed(self.offered)), header)
        except mimeparse.MimeTypeParseException:
            best = ""
        if not best:
            raise NotAcceptable(f"Accept is {header!r}; {_listed(self.offered)} spoken here.")
        return best


def _listed(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{' and '.join(names)} are"


accepts_json = Accepts(JSON)
accepts_rows = Accepts(JSON, CSV)


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in which NaN and infinities are null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return Response(orjson.dumps(document, option=options), status, headers, JSON)


def rows_response(media_type: str, document: dict[str, Any], outputs: Sequence[str], names: Sequence[str]) -> Response:
    """The document as JSON, or its `outputs` as CSV: a column each, several where an output is a matrix.

    `names` are the features' names, for outputs that are rows.
    """
    if media_type == JSON:
        return json_response(document)
    columns: list[tuple[str, Sequence[object]]] = []
    for output in outputs:
        values = np.asarray(document[output])
        if values.ndim == 1:
            columns.append((output, values.tolist()))
        else:
            heads = names if output == "instances" else [f"{output}_{j}" for j in range(values.shape[1])]
            columns += [(head, values[:, j].tolist()) for j, head in enumerate(heads)]
    return StreamingResponse(write_csv(columns), media_type=f"{CSV}; charset=utf-8")
