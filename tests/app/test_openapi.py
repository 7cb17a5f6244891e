"""The OpenAPI document: as committed, valid, complete; and every example of it works."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from app.openapi import document
from tests.service import Service, running

COMMITTED = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
SPEC: dict[str, Any] = json.loads(document())
METHODS = ("get", "put", "post", "patch", "delete")
OPERATIONS = [
    (method, path, operation)
    for path, item in SPEC["paths"].items()
    for method, operation in item.items()
    if method in METHODS
]
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]
operations = pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)


def test_the_committed_document_is_the_applications() -> None:
    assert json.loads(COMMITTED.read_text()) == SPEC, "run `make openapi`"


def test_a_running_service_gives_the_same_document(http: httpx.Client) -> None:
    assert http.get("/openapi.json").json() == SPEC


def test_it_is_openapi_3_1() -> None:
    assert SPEC["openapi"] == "3.1.0"
    for schema in SPEC["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(SPEC)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in SPEC["components"]["schemas"]


@operations
def test_an_operation_tells_all(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    good = [status for status in operation["responses"] if status.startswith("2")]
    assert good
    for status, response in operation["responses"].items():
        if status in ("204", "304"):
            continue
        for media_type, content in response["content"].items():
            assert content["schema"], media_type
        if status.startswith(("4", "5")):
            assert set(response["content"]) == {"application/problem+json"}
    if method in ("post", "put", "patch") and "requestBody" in operation:
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        assert examples
    for parameter in operation.get("parameters", []):
        assert parameter["description"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: the examples delete what they made."""
    with running(tmp_path_factory.mktemp("examples") / "data") as service:
        yield service


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": SPEC["components"]})


def check_answer(operation: dict[str, Any], answer: httpx.Response) -> None:
    """The answer is one that the document announces."""
    told = operation["responses"][str(answer.status_code)]
    if answer.status_code == 204:
        assert answer.content == b""
        return
    media_type = answer.headers["content-type"].split(";")[0]
    schema = told["content"][media_type]["schema"]
    if media_type == "application/json":
        validator(schema).validate(answer.json())


def path_values(http: httpx.Client) -> dict[str, str]:
    items = http.get("/v1/jobs?limit=1").json()["items"]
    return {
        "name": "old-faithful",
        "version": "latest",
        "alias": "champion",
        "dataset": "old-faithful",
        "job": items[0]["id"] if items else "none",
    }


def examples_of(operation: dict[str, Any]) -> list[tuple[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    examples = content.get("application/json", {}).get("examples", {})
    found = [("application/json", example["value"]) for example in examples.values()]
    if "text/csv" in content and "example" in content["text/csv"]:
        found.append(("text/csv", content["text/csv"]["example"]))
    return found


ORDER = {"post /v1/datasets": 0, "post /v1/fits": 1, "put /v1/models/{name}/aliases/{alias}": 2}
ORDER["post /v1/models/{name}/import"] = 10  # what it makes has no training scores, and would be the latest version
LAST = [
    "delete /v1/models/{name}/aliases/{alias}",
    "delete /v1/models/{name}/versions/{version}",
    "delete /v1/models/{name}",
    "delete /v1/datasets/{dataset}",
]


def rank(entry: tuple[str, str, dict[str, Any]]) -> tuple[int, int]:
    name = f"{entry[0]} {entry[1]}"
    return (1, LAST.index(name)) if name in LAST else (0, ORDER.get(name, 9))


def test_every_example_works_when_pasted(fresh: Service) -> None:
    """In an order in which a reader could paste them: what makes something first, what deletes it last."""
    posted = 0
    with fresh.client() as http:
        for method, path, operation in sorted(OPERATIONS, key=rank):
            if path == "/v1/jobs/{job}/cancel":
                continue  # has no body, and the jobs of the examples have ended: tested with the jobs
            url = path.format(**path_values(http))
            for media_type, body in examples_of(operation) or [(None, None)]:
                content = (
                    None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
                )
                headers = {"Prefer": "wait=30"} | ({"Content-Type": media_type} if media_type else {})
                answer = http.request(method, url, content=content, headers=headers)
                assert answer.status_code < 300, f"{method} {url}: {answer.text}"
                if answer.status_code == 200 and path == "/v1/fits":
                    assert answer.json()["status"] == "succeeded", answer.text
                check_answer(operation, answer)
                posted += 1
    assert posted > 40
