"""Request bodies: read under a limit, decoded by media type, checked against a schema."""

import hashlib
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any, Generic, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from app.api.csv_rows import read_csv
from app.api.problems import from_pydantic
from app.domain.errors import InvalidRequest, MalformedBody, PayloadTooLarge, UnsupportedMediaType
from app.domain.rows import Rows

T = TypeVar("T")
Document = dict[str, Any]
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
SPOOL_BYTES = 1 << 20  # bodies up to here stay in memory, larger ones go to disk


@dataclass(frozen=True)
class Received:
    """A body as it came: its bytes in `file`, and their sha256."""

    file: IO[bytes]
    sha256: str
    bytes: int
    media_type: str


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """A body that has passed its schema, and what its bytes were."""

    value: T
    sha256: str
    bytes: int
    media_type: str


class Body(Generic[T]):
    """A dependency that gives a handler the checked body.

    `place` puts the rows of a body that is not JSON, and the query's options, into the document that JSON
    would have been; None where no rows are carried, and then only JSON is spoken. `query` names the parameters
    that a JSON body may have beside it.
    """

    def __init__(
        self,
        schema: Any,
        place: Callable[[Rows, Document], Document] | None = None,
        pointer: str = "/instances",
        query: Collection[str] = (),
    ) -> None:
        self.schema = schema
        self._adapter: TypeAdapter[T] = TypeAdapter(schema)
        self._place = place
        self._pointer = pointer
        self._query = frozenset(query)

    @property
    def media_types(self) -> tuple[str, ...]:
        return ("application/json", "text/csv") if self._place else ("application/json",)

    async def __call__(self, request: Request) -> Parsed[T]:
        limit: int = request.app.state.settings.max_body_bytes
        media_type = self._media_type(request)
        received = await receive(request, limit, media_type)
        try:
            value = await run_in_threadpool(self._decode, received, dict(request.query_params))
        finally:
            received.file.close()
        return Parsed(value, received.sha256, received.bytes, media_type)

    def _media_type(self, request: Request) -> str:
        header = request.headers.get("content-type")
        parsed = Message()
        parsed["content-type"] = header or "application/json"
        media_type = parsed.get_content_type()
        if media_type.endswith("+json"):
            media_type = "application/json"
        if media_type not in self.media_types:
            raise UnsupportedMediaType(f"Content-Type is {header!r}; {' and '.join(self.media_types)} are spoken here.")
        charset = parsed.get_content_charset("utf-8")
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"The charset is {charset!r}; bodies are UTF-8.")
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise UnsupportedMediaType(f"Content-Encoding is {encoding!r}; bodies are taken as they are (identity).")
        return media_type

    def _decode(self, received: Received, query: Mapping[str, str]) -> T:
        if received.media_type == "application/json":
            misplaced = [name for name in query if name not in self._query]
            if misplaced:
                detail = f"{misplaced[0]!r} is not taken from the query here; with JSON it belongs into the body."
                raise InvalidRequest.at(f"/query/{misplaced[0]}", detail)
            document = strict_json(received.file.read())
            return self._validate(document, strict=True)
        assert self._place is not None
        options = nested(query)
        header = options.pop("header", None)
        if header is not None and header.lower() not in _TRUE | _FALSE:
            raise InvalidRequest.at("/query/header", f"header is {header!r}; it should be true or false.")
        text = io.TextIOWrapper(received.file, encoding="utf-8-sig", newline="")
        rows = read_csv(text, None if header is None else header.lower() in _TRUE, self._pointer)
        return self._validate(self._place(rows, options), strict=False)

    def _validate(self, document: Any, *, strict: bool) -> T:
        try:
            return self._adapter.validate_python(document, strict=strict, context={"query": not strict})
        except ValidationError as error:
            raise from_pydantic(error.errors(include_url=False), document) from None


def rows_at_top(rows: Rows, options: Document) -> Document:
    """The document of a serving verb."""
    return options | {"instances": rows}


async def receive(request: Request, limit: int, media_type: str) -> Received:
    """The whole body, in memory or on disk; raises `PayloadTooLarge` as soon as it is known to be."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise PayloadTooLarge(f"The body has {declared} bytes; at most {limit} are taken.")
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed by the caller
    digest, size = hashlib.sha256(), 0
    try:
        async for chunk in _chunks(request):
            size += len(chunk)
            if size > limit:
                raise PayloadTooLarge(f"The body has more than {limit} bytes, the most that is taken.")
            digest.update(chunk)
            if size > SPOOL_BYTES:
                await run_in_threadpool(file.write, chunk)
            else:
                file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return Received(file, digest.hexdigest(), size, media_type)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


def strict_json(content: bytes) -> Any:
    """JSON as RFC 8259 has it: UTF-8, finite numbers; raises `MalformedBody`."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if not content.strip():
            raise MalformedBody("The body is empty; JSON is expected.") from None
        raise MalformedBody(f"The body is not JSON: {error}.") from None


def nested(query: Mapping[str, str]) -> Document:
    """Query parameters as a document: `params.n_components=2` is n_components within params."""
    document: Document = {}
    for path, value in query.items():
        node = document
        *parents, last = path.split(".") if not path.startswith("tags.") else ["tags", path[5:]]
        for parent in parents:
            inner = node.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise InvalidRequest.at(f"/query/{path}", f"{path} and {parent} cannot both be given.")
            node = inner
        node[last] = value
    return document


def describe(body: Body[Any], examples: Mapping[str, Any], csv: str | None = None) -> dict[str, Any]:
    """The `requestBody` of an operation, with named examples."""
    name = _name(body.schema)
    shown = {key: {"value": value} for key, value in examples.items()}
    content: dict[str, Any] = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}, "examples": shown}
    }
    if csv is not None and "text/csv" in body.media_types:
        content["text/csv"] = {"schema": {"type": "string"}, "example": csv}
    elif "text/csv" in body.media_types:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"requestBody": {"required": True, "content": content}}


SCHEMAS: dict[str, Any] = {}


def _name(schema: Any) -> str:
    name = schema.__name__ if isinstance(schema, type) and issubclass(schema, BaseModel) else schema.__metadata__[-1]
    SCHEMAS[name] = schema
    return str(name)
