"""What the documents share."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"

ModelName = Annotated[str, StringConstraints(pattern=NAME)]
AliasName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,62}$")]
DatasetName = Annotated[str, StringConstraints(pattern=NAME)]
FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Description = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
TagName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}$")]
TagValue = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=64)]
RandomState = Annotated[int, Field(ge=0, le=2**32 - 1)]

RESERVED_ALIASES = frozenset({"latest"})
IS_NAME = re.compile(NAME)


class Request(BaseModel):
    """A document that comes in: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Answer(BaseModel):
    """A document that goes out."""

    model_config = ConfigDict(ser_json_inf_nan="null")


class ModelRef(Answer):
    """Which version answered."""

    name: str
    version: int


def from_query(info: ValidationInfo) -> bool:
    """Whether the values come from a query, where everything is text."""
    return bool((info.context or {}).get("query"))
