"""Errors as `application/problem+json` (RFC 9457): the one place that gives an error its status."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from app.domain import errors as domain
from app.domain.errors import MAX_FIELD_ERRORS, FieldError, MixturaError
from app.domain.jobs import Failure, FailureCode
from app.domain.rows import escape

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """What every problem of one kind says of itself."""

    code: str
    status: int
    title: str
    headers: Mapping[str, str] | None = None


KINDS: dict[type[MixturaError], Kind] = {
    domain.MalformedBody: Kind("invalid-request", 400, "The body cannot be read"),
    domain.InvalidRequest: Kind("invalid-request", 422, "The request is not valid"),
    domain.FeatureMismatch: Kind("feature-mismatch", 422, "The features are not the model's"),
    domain.UnsupportedOperation: Kind("unsupported-operation", 422, "This is not offered here"),
    domain.IdempotencyKeyReused: Kind("idempotency-key-reused", 422, "The Idempotency-Key served another request"),
    domain.Unauthorized: Kind("unauthorized", 401, "A key is needed"),
    domain.NotFound: Kind("not-found", 404, "There is nothing here"),
    domain.ModelNotFound: Kind("model-not-found", 404, "There is no such model"),
    domain.VersionNotFound: Kind("version-not-found", 404, "There is no such version"),
    domain.AliasNotFound: Kind("alias-not-found", 404, "There is no such alias"),
    domain.DatasetNotFound: Kind("dataset-not-found", 404, "There is no such dataset"),
    domain.JobNotFound: Kind("job-not-found", 404, "There is no such job"),
    domain.NotAcceptable: Kind("not-acceptable", 406, "No accepted media type is spoken here"),
    domain.UnsupportedMediaType: Kind("unsupported-media-type", 415, "The body's media type is not spoken here"),
    # What is left of the body is not read: the connection cannot be used again.
    domain.PayloadTooLarge: Kind("payload-too-large", 413, "The body is too large", {"Connection": "close"}),
    domain.Conflict: Kind("conflict", 409, "The state does not allow this"),
    domain.DatasetInUse: Kind("dataset-in-use", 409, "The dataset is in use"),
    domain.VersionInUse: Kind("version-in-use", 409, "The version is in use"),
    domain.PreconditionFailed: Kind("precondition-failed", 412, "It has changed meanwhile"),
    domain.QueueFull: Kind("queue-full", 503, "The queue is full", {"Retry-After": "5"}),
    domain.NotReady: Kind("not-ready", 503, "The service is not ready", {"Retry-After": "1"}),
    domain.GivenUp: Kind("not-ready", 503, "The service is not ready", {"Retry-After": "1"}),
    domain.ArtifactCorrupt: Kind("artifact-corrupt", 503, "A stored file is damaged"),
}

INTERNAL = Kind("internal", 500, "Something failed on our side")
NOWHERE = Kind("not-found", 404, "There is nothing here")
FRAMEWORK = {
    404: NOWHERE,
    405: Kind("method-not-allowed", 405, "This method is not offered here"),
}
FAILURE_TITLES = {
    FailureCode.COLLAPSED_COMPONENT: "A component collapsed",
    FailureCode.DIVERGED: "The fit diverged",
    FailureCode.INVALID_REQUEST: "The fit could not be done as asked",
    FailureCode.TIMEOUT: "The job took too long",
    FailureCode.OUT_OF_MEMORY: "The job needed too much memory",
    FailureCode.WORKER_LOST: "The job's process was lost",
    FailureCode.ARTIFACT_CORRUPT: "A stored file is damaged",
    FailureCode.INTERNAL: "Something failed on our side",
}


class FieldProblem(BaseModel):
    """One fault of the input."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the request.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="`/problems/<slug>`; stable.", examples=["/problems/invalid-request"])
    title: str
    status: int
    detail: str = Field(description="A sentence that names the value and the bound.")
    instance: str
    request_id: str
    errors: list[FieldProblem] | None = Field(None, description="At most 20, for invalid input.")


class JobProblem(BaseModel):
    """Why a job failed."""

    type: str = Field(examples=["/problems/collapsed-component"])
    title: str
    detail: str


def kind_of(error: MixturaError) -> Kind:
    """The kind of a member of the tree."""
    return KINDS[type(error)]


def job_problem(failure: Failure) -> JobProblem:
    """A failed job's error."""
    title = FAILURE_TITLES[failure.code]
    return JobProblem(type=f"/problems/{failure.code}", title=title, detail=failure.detail)


def problem_response(
    scope: Scope,
    kind: Kind,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that says it."""
    document: dict[str, Any] = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": scope["path"],
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    if errors:
        document["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in errors[:MAX_FIELD_ERRORS]]
    extra = {**(kind.headers or {}), **(headers or {})}
    return Response(_dumps(document), kind.status, extra, MEDIA_TYPE)


def error_response(scope: Scope, error: MixturaError, headers: Mapping[str, str] | None = None) -> Response:
    """The response to a member of the tree."""
    return problem_response(scope, kind_of(error), error.detail, error.errors, headers)


def from_pydantic(errors: Iterable[Mapping[str, Any]], document: Any, prefix: str = "") -> domain.InvalidRequest:
    """pydantic's errors with pointers into the document as it was sent."""
    faults: dict[str, FieldError] = {}
    for error in errors:
        for fault in _faults(error, document, prefix):
            faults.setdefault(fault.pointer, fault)
    found = list(faults.values())
    first = found[0] if found else FieldError(prefix, "The request is not valid.")
    return domain.InvalidRequest(first.detail, found)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, MixturaError)
        return error_response(request.scope, error)

    async def parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(request.scope, from_pydantic(error.errors(), None))

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _framework_response(app, request.scope, error)

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        MixturaError: ours,
        RequestValidationError: parameters,
        HTTPException: framework,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _framework_response(app: FastAPI, scope: Scope, error: HTTPException) -> Response:
    path, method = scope["path"], scope["method"]
    kind = FRAMEWORK.get(error.status_code, Kind("invalid-request", error.status_code, str(error.detail)))
    if error.status_code == 405:
        allowed = allowed_methods(app, scope)
        detail = f"{method} is not offered at {path}; {', '.join(allowed)} is."
        return problem_response(scope, kind, detail, headers={"Allow": ", ".join(allowed)})
    detail = f"There is nothing at {path}." if error.status_code == 404 else f"{error.detail}."
    return problem_response(scope, kind, detail, headers=error.headers)


def allowed_methods(app: FastAPI, scope: Scope) -> list[str]:
    """Every method that some route offers at the scope's path."""
    offered = [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if _offered(app, scope, method)]
    if "GET" in offered or not offered:  # not offered: a file, which can only be read
        offered = ["GET", "HEAD", *(method for method in offered if method != "GET")]
    return offered


def _offered(app: FastAPI, scope: Scope, method: str) -> bool:
    return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.router.routes)


_ABOUT_ABSENCE = frozenset({"missing", "union_tag_invalid", "union_tag_not_found"})


def _faults(error: Mapping[str, Any], document: Any, prefix: str) -> list[FieldError]:
    context = error.get("ctx") or {}
    pointer = prefix + _pointer(error, document)
    if "cells" in context:
        return [FieldError(f"{pointer}{below}", detail) for below, detail in context["cells"]]
    return [FieldError(pointer, _sentence(error, pointer))]


def _pointer(error: Mapping[str, Any], document: Any) -> str:
    loc = list(error["loc"])
    if document is None:  # a parameter of the path or of the query: /query/limit
        return "".join(f"/{escape(str(token))}" for token in loc)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        loc.append(error["ctx"]["discriminator"].strip("'"))
    pointer, node = "", document
    for i, token in enumerate(loc):
        absent = i == len(loc) - 1 and error["type"] in _ABOUT_ABSENCE
        if isinstance(node, dict) and isinstance(token, str) and (token in node or absent):
            node = node.get(token)
        elif isinstance(node, list) and isinstance(token, int) and token < len(node):
            node = node[token]
        else:
            continue  # the name of a union's member, which the caller never wrote
        pointer += f"/{escape(str(token))}"
    return pointer


def _sentence(error: Mapping[str, Any], pointer: str) -> str:
    *_, parent, name = f"/{pointer}".rsplit("/", 2)
    name = f"{parent}[{name}]" if name.isdigit() else name
    match error["type"]:
        case "missing":
            return f"{name!r} is required."
        case "extra_forbidden":
            return f"{name!r} is not a field that is known here."
        case "union_tag_invalid":
            return f"{error['ctx']['tag']!r} is not one of {error['ctx']['expected_tags']}."
        case "union_tag_not_found":
            return f"{name!r} is required."
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{name or 'The body'} is {_short(error['input'])}; it should be an object."
        case "string_pattern_mismatch":
            return f"{name} is {_short(error['input'])}; it should match {error['ctx']['pattern']}."
    message = str(error["msg"])
    if message.startswith("Value error, "):  # a sentence of our own
        return message.removeprefix("Value error, ").removesuffix(".") + "."
    expected = message.removeprefix("Input should ").removesuffix(".")
    if expected != message:
        return f"{name} is {_short(error.get('input'))}; it should {expected}."
    return f"{name} is {_short(error.get('input'))}: {message}."


def _short(value: Any) -> str:
    text = _dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=str)
