"""`/v1/datasets`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.api import examples
from app.api.answers import accepts_json, json_response
from app.api.bodies import Body, Parsed, describe
from app.api.deps import IdempotencyHeader, Use, idempotency_key
from app.api.openapi import BODY, CREATED_HEADERS, PAGE_HEADERS, READ, problems
from app.api.paging import Listing, page_response
from app.api.schemas.common import DatasetName
from app.api.schemas.datasets import Dataset, DatasetPage, DatasetSummary, DatasetUpload
from app.domain.errors import InvalidRequest
from app.domain.rows import Rows
from app.services.datasets import Upload

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], dependencies=[Depends(accepts_json)])


def _place(rows: Rows, options: dict[str, Any]) -> dict[str, Any]:
    return options | {"instances": rows}


upload_body: Body[DatasetUpload] = Body(DatasetUpload, _place, query=("name", "header"))
Reference = Annotated[
    str,
    Path(max_length=64, description="Id or name of a dataset.", openapi_examples={"name": {"value": "old-faithful"}}),
]


@router.post(
    "",
    status_code=201,
    summary="Keep rows as a dataset",
    response_model=Dataset,
    responses=problems(*BODY, also={201: {"headers": CREATED_HEADERS}}),
    openapi_extra=describe(upload_body, {"geyser": examples.DATASET}, examples.CSV),
)
def create_dataset(
    request: Request,
    use: Use,
    body: Annotated[Parsed[DatasetUpload], Depends(upload_body)],
    name: Annotated[DatasetName | None, Query(description="A name to use for it in fits.")] = None,
    header: Annotated[bool | None, Query(description="CSV: whether the first line holds names.")] = None,
    key: IdempotencyHeader = None,
) -> Response:
    """Stores the rows on disk and describes them. The same bytes sent twice are one dataset.

    A name that is given again means the newer dataset from then on.
    """
    sent = body.value
    if name is not None and sent.name not in (None, name):
        raise InvalidRequest.at("/name", f"name is {sent.name!r} in the body and {name!r} in the query.")
    identity = f"{body.media_type};named={sent.rows.names is not None}:{body.sha256}"
    upload = Upload(sent.rows, identity, body.sha256, body.bytes)
    dataset, replayed = use.datasets.create(upload, name or sent.name, idempotency_key(request, key, body))
    headers = {"Location": f"/v1/datasets/{dataset.id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(Dataset.of(dataset).model_dump(mode="json"), 201, headers)


@router.get(
    "",
    summary="List datasets",
    response_model=DatasetPage,
    responses=problems(*READ, also={200: {"headers": PAGE_HEADERS}}),
)
def list_datasets(request: Request, use: Use, listing: Listing) -> Response:
    """Newest first."""
    return page_response(request, use.datasets.page(listing.page), Dataset.of)


@router.get("/{dataset}", summary="Look at a dataset", responses=problems(404, *READ))
def get_dataset(use: Use, dataset: Reference) -> Dataset:
    """What is known of it."""
    return Dataset.of(use.datasets.find(dataset))


@router.get("/{dataset}/summary", summary="Summarise a dataset", responses=problems(404, *READ))
def summarise_dataset(use: Use, dataset: Reference) -> DatasetSummary:
    """Feature by feature: count, missing, mean, standard deviation, minimum, quartiles, maximum."""
    return DatasetSummary.of(use.datasets.find(dataset))


@router.delete(
    "/{dataset}",
    status_code=204,
    response_class=Response,
    summary="Delete a dataset",
    responses=problems(404, 409, *READ),
)
def delete_dataset(use: Use, dataset: Reference) -> None:
    """409 while a job that has not ended uses it. Versions fitted on it stay."""
    use.datasets.delete(dataset)
