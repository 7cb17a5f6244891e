"""`/v1/models`: the registry."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, Field, StringConstraints
from starlette.responses import Response

from app.api.answers import Accepts, accepts_json, json_response
from app.api.bodies import Body, Parsed, describe
from app.api.deps import IfMatch, Use, caller
from app.api.openapi import BODY, ETAG_HEADERS, PAGE_HEADERS, READ, problems
from app.api.paging import Listing, ListQuery, page_response
from app.api.schemas.common import NAME, RESERVED_ALIASES
from app.api.schemas.registry import (
    Alias,
    AliasHistory,
    AliasMove,
    AliasTarget,
    Model,
    ModelChange,
    ModelPage,
    Parameters,
    Version,
    VersionPage,
)
from app.domain import registry as domain
from app.domain.errors import InvalidRequest
from app.domain.registry import AliasMove as Move
from app.services.registry import alias_etag, model_etag

router = APIRouter(prefix="/v1/models", tags=["registry"])
as_json = [Depends(accepts_json)]

ModelPath = Annotated[
    str, Path(max_length=63, description="Name of a model.", openapi_examples={"geyser": {"value": "old-faithful"}})
]
VersionPath = Annotated[
    str,
    Path(
        max_length=63,
        description="A number, an alias, or `latest`.",
        openapi_examples={"latest": {"value": "latest"}, "number": {"value": "1"}},
    ),
]


def _not_reserved(alias: str) -> str:
    if alias in RESERVED_ALIASES:
        raise ValueError(f"{alias!r} always means the latest version and cannot be an alias")
    return alias


AliasPath = Annotated[
    str,
    Path(
        pattern=NAME.replace("[a-z0-9]", "[a-z]", 1),
        description="An alias.",
        openapi_examples={"champion": {"value": "champion"}},
    ),
    AfterValidator(_not_reserved),
]


class RegistryQuery(ListQuery):
    """Filters of the registry's lists."""

    tag: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}(:[^\x00]{0,255})?$")]],
        Field(max_length=64, description="`name:value`, or `name` for any value; of several, all must be there."),
    ] = []  # noqa: RUF012 - pydantic copies it
    alias: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9._,-]{1,4096}$", description="Has one of these aliases; commas are OR."),
    ] = None

    @property
    def wanted(self) -> domain.Filter:
        """As the services take it."""
        split = [tag.partition(":") for tag in self.tag]
        tags = tuple((name, value if colon else None) for name, colon, value in split)
        return domain.Filter(tags, tuple(alias for alias in (self.alias or "").split(",") if alias))


RegistryListing = Annotated[RegistryQuery, Query()]
change_body: Body[ModelChange] = Body(ModelChange)
alias_body: Body[AliasTarget] = Body(AliasTarget)


@router.get(
    "",
    summary="List models",
    response_model=ModelPage,
    responses=problems(*READ, also={200: {"headers": PAGE_HEADERS}}),
    dependencies=as_json,
)
def list_models(request: Request, use: Use, listing: RegistryListing) -> Response:
    """Newest first; by the models' own tags, and by their aliases."""
    return page_response(request, use.registry.models(listing.wanted, listing.page), Model.of)


@router.get(
    "/{name}",
    summary="Look at a model",
    response_model=Model,
    responses=problems(404, *READ, also={200: {"headers": ETAG_HEADERS}}),
    dependencies=as_json,
)
def get_model(use: Use, name: ModelPath) -> Response:
    """Its versions' summary, aliases and tags, with an `ETag`."""
    return _model_response(use.registry.model(name))


@router.patch(
    "/{name}",
    summary="Describe a model",
    response_model=Model,
    responses=problems(404, 412, *BODY, also={200: {"headers": ETAG_HEADERS}}),
    openapi_extra=describe(change_body, {"description": {"description": "eruption regimes", "tags": {"team": "geo"}}}),
    dependencies=as_json,
)
def change_model(
    use: Use, name: ModelPath, body: Annotated[Parsed[ModelChange], Depends(change_body)], if_match: IfMatch = None
) -> Response:
    """Changes description and tags; a field that is absent stays as it is."""
    changes = body.value.model_dump(include=body.value.model_fields_set)
    return _model_response(use.registry.change_model(name, changes, if_match))


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    summary="Delete a model",
    responses=problems(404, 409, 412, *READ),
    dependencies=as_json,
)
def delete_model(use: Use, name: ModelPath, if_match: IfMatch = None) -> None:
    """With all its versions and their files; 409 while it has an alias."""
    use.registry.delete_model(name, if_match)


@router.get(
    "/{name}/versions",
    summary="List a model's versions",
    response_model=VersionPage,
    responses=problems(404, *READ, also={200: {"headers": PAGE_HEADERS}}),
    dependencies=as_json,
)
def list_versions(request: Request, use: Use, name: ModelPath, listing: RegistryListing) -> Response:
    """Newest first; by the versions' own tags, and by the aliases that point at them."""
    if listing.page.cursor is not None and not listing.page.cursor.isdigit():
        raise InvalidRequest.at("/query/cursor", "cursor is of another list.")
    return page_response(request, use.registry.versions(name, listing.wanted, listing.page), Version.of)


@router.get(
    "/{name}/versions/{version}",
    summary="Look at a version",
    responses=problems(404, *READ),
    dependencies=as_json,
)
def get_version(use: Use, name: ModelPath, version: VersionPath) -> Version:
    """What it was fitted on, how, and how well."""
    return Version.of(use.registry.version(name, version))


@router.delete(
    "/{name}/versions/{version}",
    status_code=204,
    response_class=Response,
    summary="Delete a version",
    responses=problems(404, 409, *READ),
    dependencies=as_json,
)
def delete_version(use: Use, name: ModelPath, version: VersionPath) -> None:
    """409 while an alias points at it. Its number is never given again."""
    use.registry.delete_version(name, version)


@router.get(
    "/{name}/versions/{version}/parameters",
    summary="Read a version's parameters",
    response_model=Parameters,
    response_model_exclude_none=True,
    responses=problems(404, 503, *READ),
    dependencies=as_json,
)
def get_parameters(use: Use, name: ModelPath, version: VersionPath) -> Response:
    """Weights, means and covariances, or cluster centres; in original features where `preprocess` is invertible."""
    served = use.models.load(name, version)
    head = {"model": {"name": served.name, "version": served.version}, "algorithm": served.fitted.algorithm}
    return json_response(head | {"feature_names": served.feature_names} | served.parameters())


@router.get(
    "/{name}/versions/{version}/artifact",
    summary="Download a version's file",
    response_class=Response,
    responses=problems(
        404,
        503,
        *READ,
        also={
            200: {
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
                "headers": ETAG_HEADERS,
            },
            304: {"description": "The file that you have (`If-None-Match`)."},
        },
    ),
    dependencies=[Depends(Accepts("application/octet-stream"))],
)
def get_artifact(
    use: Use,
    name: ModelPath,
    version: VersionPath,
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", description="The file that you have; 304 when it is this one.")
    ] = None,
) -> Response:
    """The stored safetensors file; its `ETag` is its sha256."""
    found = use.registry.version(name, version)
    headers = {"ETag": f'"{found.artifact.sha256}"'}
    if if_none_match is not None and (if_none_match.strip() == "*" or headers["ETag"] in if_none_match):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{found.model}-{found.version}.safetensors"'
    return Response(use.registry.artifact(found), headers=headers, media_type="application/octet-stream")


@router.get(
    "/{name}/aliases/{alias}",
    summary="Look at an alias",
    response_model=Alias,
    responses=problems(404, *READ, also={200: {"headers": ETAG_HEADERS}}),
    dependencies=as_json,
)
def get_alias(use: Use, name: ModelPath, alias: AliasPath) -> Response:
    """Where it points, with an `ETag`."""
    return _alias_response(use.registry.alias(name, alias))


@router.put(
    "/{name}/aliases/{alias}",
    summary="Set or move an alias",
    response_model=Alias,
    responses=problems(404, 412, *BODY, also={200: {"headers": ETAG_HEADERS}}),
    openapi_extra=describe(alias_body, {"first": {"version": 1}}),
    dependencies=as_json,
)
def put_alias(
    request: Request,
    use: Use,
    name: ModelPath,
    alias: AliasPath,
    body: Annotated[Parsed[AliasTarget], Depends(alias_body)],
    if_match: IfMatch = None,
) -> Response:
    """At once, for everyone who serves by it."""
    return _alias_response(use.registry.point_alias(name, alias, body.value.version, if_match, caller(request)))


@router.delete(
    "/{name}/aliases/{alias}",
    status_code=204,
    response_class=Response,
    summary="Delete an alias",
    responses=problems(404, 412, *READ),
    dependencies=as_json,
)
def delete_alias(request: Request, use: Use, name: ModelPath, alias: AliasPath, if_match: IfMatch = None) -> None:
    """The version it pointed at stays, and so does its history."""
    use.registry.delete_alias(name, alias, if_match, caller(request))


@router.get(
    "/{name}/aliases/{alias}/history",
    summary="Read an alias's history",
    response_model=AliasHistory,
    responses=problems(404, *READ, also={200: {"headers": PAGE_HEADERS}}),
    dependencies=as_json,
)
def get_alias_history(request: Request, use: Use, name: ModelPath, alias: AliasPath, listing: Listing) -> Response:
    """Its moves, newest first: from, to, by whom, when."""
    return page_response(request, use.registry.alias_history(name, alias, listing.page), _move)


def _move(move: Move) -> AliasMove:
    return AliasMove(origin=move.origin, to=move.to, by=move.by, at=move.at)


def _model_response(model: domain.Model) -> Response:
    return json_response(Model.of(model).model_dump(mode="json"), headers={"ETag": model_etag(model)})


def _alias_response(alias: domain.Alias) -> Response:
    return json_response(Alias.of(alias).model_dump(mode="json"), headers={"ETag": alias_etag(alias)})
