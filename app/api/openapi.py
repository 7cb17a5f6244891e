"""The OpenAPI document: the problems of each operation, the schemas of bodies, the key."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from app.api.bodies import SCHEMAS
from app.api.problems import MEDIA_TYPE, Problem

_MEANINGS = {
    400: "The body cannot be read (`invalid-request`).",
    401: "A key is needed (`unauthorized`).",
    404: "No such thing (`…-not-found`).",
    406: "No accepted media type is spoken here (`not-acceptable`).",
    409: "The state does not allow it (`conflict`, `…-in-use`).",
    412: "It has changed meanwhile (`precondition-failed`).",
    413: "The body is too large (`payload-too-large`).",
    415: "The body's media type is not spoken here (`unsupported-media-type`).",
    422: "Something in the request may not be so (`invalid-request`, …); `errors` point at it.",
    500: "Something failed on our side (`internal`).",
    503: "Not now (`queue-full`, `not-ready`, `artifact-corrupt`).",
}
READ = (401, 406, 422, 500)
BODY = (400, 401, 406, 413, 415, 422, 500)

TAGS = [
    {"name": "datasets", "description": "Rows kept for fits."},
    {"name": "fits", "description": "Fitting, asynchronously."},
    {"name": "jobs", "description": "Long work: its progress and its end."},
    {"name": "registry", "description": "Models, their immutable versions, and aliases that move between them."},
    {"name": "serving", "description": "What a model says of rows."},
    {"name": "health", "description": "Whether the service is up and ready."},
]

DESCRIPTION = """\
Mixture models and k-means as a service: post rows, fit asynchronously, keep every result as an immutable
version, and serve predictions, probabilities, densities, anomaly flags and samples.

Every error is `application/problem+json` with a `type`, a sentence in `detail` and, for invalid input, `errors`
that point at what to change. Every response carries `X-Request-Id`.
"""


Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int, also: Responses | None = None) -> Responses:
    """The `responses` of an operation that may answer with these problems, and `also` so."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    told: Responses = {
        status: {"description": _MEANINGS[status], "content": content} for status in sorted(set(statuses))
    }
    return {**(also or {}), **told}


def install(app: FastAPI, *, keyed: bool) -> None:
    """Makes `app.openapi()` build the whole document, once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, keyed)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _build(app: FastAPI, keyed: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
    )
    schemas: dict[str, Any] = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_body_schemas())
    _tell_headers(document)
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "MIXTURA_ADMIN_KEY, where the service has one."}
    }
    # Without a key the service is open; the scheme is there all the same, so that clients know its form.
    document["security"] = [{"key": []}] if keyed else [{}, {"key": []}]
    for path in ("/livez", "/readyz"):
        document["paths"][path]["get"]["security"] = []
    return document


def header(description: str) -> dict[str, Any]:
    """A response header of text."""
    return {"description": description, "schema": {"type": "string"}}


JOB_HEADERS = {
    "Location": header("Where the job is."),
    "Retry-After": header("Seconds after which to look."),
    "Idempotency-Replayed": header("`true` when this is the answer to an earlier request with the same key."),
}
WAITED_HEADERS = {"Preference-Applied": header("`wait=N`.")}
CREATED_HEADERS = {key: JOB_HEADERS[key] for key in ("Location", "Idempotency-Replayed")}
ETAG_HEADERS = {"ETag": header("For `If-Match`, or `If-None-Match`.")}
PAGE_HEADERS = {"Link": header('`<…>; rel="next"` where there is a next page.')}


def _tell_headers(document: dict[str, Any]) -> None:
    """Every response carries a request id; a 401 its challenge, a 503 its delay."""
    everywhere = {"X-Request-Id": header("The caller's own, or a new one.")}
    special = {
        "401": {"WWW-Authenticate": header("`Bearer`, or `Basic` for pages.")},
        "503": {"Retry-After": header("Seconds after which to try again, where that can help.")},
    }
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                response["headers"] = {**response.get("headers", {}), **everywhere, **special.get(status, {})}


def _body_schemas() -> dict[str, Any]:
    template = "#/components/schemas/{model}"
    adapters = [(name, "validation", TypeAdapter(schema)) for name, schema in SCHEMAS.items()]
    named, definitions = TypeAdapter.json_schemas(adapters, ref_template=template)  # type: ignore[arg-type]
    found: dict[str, Any] = dict(definitions.get("$defs", {}))
    for (name, _), schema in named.items():
        if schema.get("$ref") != f"#/components/schemas/{name}":
            found[str(name)] = schema
    _, problem = models_json_schema([(Problem, "serialization")], ref_template=template)
    found.update(problem["$defs"])
    return found
