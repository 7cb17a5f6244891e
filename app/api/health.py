"""`/livez` and `/readyz`."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from app.api.answers import accepts_json
from app.api.deps import Use
from app.api.openapi import problems

router = APIRouter(tags=["health"], dependencies=[Depends(accepts_json)])


class Live(BaseModel):
    """The process is up."""

    status: str = "live"


class Ready(BaseModel):
    """Everything the service stands on answers."""

    status: str = "ready"
    checks: dict[str, str]


@router.get("/livez", summary="Is the process up?", responses=problems(406, 500))
async def livez() -> Live:
    """Yes, when it answers at all."""
    return Live()


@router.get("/readyz", summary="Can it do its work?", responses=problems(406, 500, 503))
def readyz(use: Use) -> Ready:
    """Database, files and, where configured, workers; 503 names what does not answer."""
    return Ready(checks=use.health.check())
