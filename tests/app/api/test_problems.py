"""Every member of the error tree has a kind, and every kind is one of the contract's."""

import httpx
import pytest

from app.api.problem_pages import EXPLANATIONS
from app.api.problems import FAILURE_TITLES, FRAMEWORK, INTERNAL, KINDS, job_problem, kind_of
from app.domain import errors
from app.domain.errors import MixturaError
from app.domain.jobs import Failure, FailureCode

# Section 8 of the HTTP contract, as far as this release can give them.
CONTRACT = {
    "invalid-request": (400, 422),
    "unauthorized": (401,),
    "model-not-found": (404,),
    "version-not-found": (404,),
    "alias-not-found": (404,),
    "dataset-not-found": (404,),
    "job-not-found": (404,),
    "not-found": (404,),
    "method-not-allowed": (405,),
    "not-acceptable": (406,),
    "conflict": (409,),
    "dataset-in-use": (409,),
    "version-in-use": (409,),
    "precondition-failed": (412,),
    "payload-too-large": (413,),
    "unsupported-media-type": (415,),
    "unsupported-operation": (422,),
    "feature-mismatch": (422,),
    "idempotency-key-reused": (422,),
    "queue-full": (503,),
    "not-ready": (503,),
    "artifact-corrupt": (503,),
    "internal": (500,),
}


def members(kind: type[MixturaError]) -> list[type[MixturaError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in members(child))]


@pytest.mark.parametrize("member", members(MixturaError)[1:], ids=lambda member: member.__name__)
def test_every_error_is_mapped(member: type[MixturaError]) -> None:
    kind = kind_of(member("A sentence."))
    assert kind.code == member.code
    assert kind.status in CONTRACT[kind.code]
    assert kind.title


def test_nothing_else_is_mapped() -> None:
    assert set(KINDS) == set(members(MixturaError)[1:])
    assert {kind.code for kind in [*KINDS.values(), *FRAMEWORK.values(), INTERNAL]} == set(CONTRACT)


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_of_a_job_is_told(code: FailureCode) -> None:
    problem = job_problem(Failure(code, "A sentence."))
    assert problem.type == f"/problems/{code}"
    assert problem.title == FAILURE_TITLES[code]


def test_at_most_twenty_faults_are_kept() -> None:
    faults = [errors.FieldError(f"/{i}", "no") for i in range(100)]
    assert errors.InvalidRequest("no", faults).errors == tuple(faults[:20])


def test_every_type_is_explained_and_nothing_else() -> None:
    assert set(EXPLANATIONS) == set(CONTRACT) | set(FailureCode)


@pytest.mark.parametrize("slug", EXPLANATIONS)
def test_every_type_leads_to_its_page(http: httpx.Client, slug: str) -> None:
    page = http.get(f"/problems/{slug}")
    assert page.headers["content-type"].startswith("text/html")
    assert f"<h1>{slug}</h1>" in page.text
    assert http.get(f"/problems/{slug}x").json()["type"] == "/problems/not-found"
