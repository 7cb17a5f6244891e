"""Lists: `?limit=` and `?cursor=`, `next` and `Link`."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.api.answers import json_response
from app.domain.errors import InvalidRequest
from app.domain.paging import Page, PageRequest

T = TypeVar("T")

_KEY = re.compile(r"[0-9a-f-]{36}|[0-9]{1,9}")


class ListQuery(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200, description="Items a page.")] = 50
    cursor: Annotated[str | None, Field(max_length=128, description="`next` of the page before.")] = None

    @property
    def page(self) -> PageRequest:
        """As the services take it; raises `InvalidRequest` for a cursor that no list gave."""
        return PageRequest(self.limit, None if self.cursor is None else _decode(self.cursor))


Listing = Annotated[ListQuery, Query()]


def page_response(request: Request, page: Page[T], item: Callable[[T], BaseModel]) -> Response:
    """The page as JSON, with `Link` to the next one."""
    following = None if page.next is None else _encode(page.next)
    items: list[Any] = [item(entry).model_dump(mode="json", by_alias=True) for entry in page.items]
    headers = {}
    if following is not None:
        url = request.url.include_query_params(cursor=following)
        headers["Link"] = f'<{url}>; rel="next"'
    return json_response({"items": items, "next": following}, headers=headers)


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        key = ""
    if not _KEY.fullmatch(key):
        raise InvalidRequest.at("/query/cursor", f"cursor is {cursor!r}, which no list has given as `next`.")
    return key
