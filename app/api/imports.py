"""`POST /v1/models/{name}/import`: a model that was not fitted here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from app.api import examples
from app.api.answers import accepts_json, json_response
from app.api.bodies import Body, Parsed, Received, describe, nested
from app.api.deps import IdempotencyHeader, Use, caller, idempotency_key
from app.api.openapi import BODY, CREATED_HEADERS, problems
from app.api.problems import from_pydantic
from app.api.schemas.common import NAME
from app.api.schemas.imports import AnyGiven, ImportLabels, ModelImport
from app.api.schemas.registry import Version
from app.domain.registry import Labels
from app.services.model_import import Imported, from_file, from_parameters

FILE = "application/octet-stream"
router = APIRouter(prefix="/v1/models", tags=["registry"], dependencies=[Depends(accepts_json)])


@dataclass(frozen=True)
class Sent:
    """A model as it came, checked, and how it is to be called."""

    imported: Imported
    labels: Labels


class ImportBody(Body[Any]):
    """Parameters as JSON, or a model file with the options in the query."""

    _labels = TypeAdapter(ImportLabels)

    @property
    def media_types(self) -> tuple[str, ...]:
        return ("application/json", FILE)

    def _decode(self, received: Received, query: Mapping[str, str]) -> Sent:
        if received.media_type == FILE:
            options = nested(query)
            try:
                labels = self._labels.validate_python(options, context={"query": True}).labels
            except ValidationError as error:
                raise from_pydantic(error.errors(include_url=False), options) from None
            return Sent(from_file(received.file.read(), received.sha256), labels)
        given: AnyGiven = super()._decode(received, query)
        parameters = given.parameters.model_dump()
        return Sent(from_parameters(given.algorithm, parameters, given.feature_names), given.labels)


import_body = ImportBody(ModelImport)
_described = describe(import_body, {"mixture": examples.IMPORT, "kmeans": examples.IMPORT_KMEANS})
_described["requestBody"]["content"][FILE] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/{name}/import",
    status_code=201,
    summary="Import a model",
    response_model=Version,
    responses=problems(404, 503, *BODY, also={201: {"headers": CREATED_HEADERS}}),
    openapi_extra=_described,
)
def import_model(
    request: Request,
    use: Use,
    name: Annotated[
        str,
        Path(pattern=NAME, description="Created when new.", openapi_examples={"geyser": {"value": "old-faithful"}}),
    ],
    body: Annotated[Parsed[Sent], Depends(import_body)],
    key: IdempotencyHeader = None,
) -> Response:
    """The model's next version, from parameters or from the file of a version (`GET …/artifact`), of any service.

    A file gives an equal model, to the bit; `alias`, `description` and `tags.<name>` then come as query parameters.
    Parameters carry no scores of training rows, so `anomaly` wants a `threshold` of them.
    """
    sent = body.value
    version, replayed = use.imports.add(
        name, sent.imported, sent.labels, idempotency_key(request, key, body), caller(request)
    )
    headers = {"Location": f"/v1/models/{name}/versions/{version.version}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(Version.of(version).model_dump(mode="json"), 201, headers)
