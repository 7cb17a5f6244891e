"""A page of a list, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class PageRequest:
    """At most `limit` items, after the one that `cursor` names (None: from the start)."""

    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """`next` is the cursor of the page that follows, None on the last one."""

    items: Sequence[T]
    next: str | None
