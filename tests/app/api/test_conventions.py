"""What every answer has in common."""

import re
import uuid

import httpx
import pytest

from tests.app.api.test_bad_input import assert_problem


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/v1/nothing", "/docs"])
def test_every_answer_carries_a_request_id(http: httpx.Client, path: str) -> None:
    assert uuid.UUID(http.get(path).headers["x-request-id"]).version == 7
    assert http.get(path, headers={"X-Request-Id": "mine.1_2-3"}).headers["x-request-id"] == "mine.1_2-3"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "ü", "a/b"])
def test_a_request_id_of_another_form_is_replaced(http: httpx.Client, sent: str) -> None:
    answer = http.get("/livez", headers={"X-Request-Id": sent.encode()})
    assert answer.headers["x-request-id"] != sent
    assert uuid.UUID(answer.headers["x-request-id"]).version == 7


def test_a_trace_is_continued(http: httpx.Client) -> None:
    trace = uuid.uuid4().hex
    answer = http.get("/livez", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    assert "00f067aa0ba902b7" not in answer.headers["traceparent"]
    other = http.get("/livez", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    assert "0" * 32 not in other.headers["traceparent"]


def test_health(http: httpx.Client) -> None:
    assert http.get("/livez").json() == {"status": "live"}
    ready = http.get("/readyz").json()
    assert ready == {"status": "ready", "checks": {"database": "ok", "artifacts": "ok", "workers": "ok"}}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_docs_come_from_here_alone(http: httpx.Client, page: str) -> None:
    html = http.get(page).text
    files = [url for url in re.findall(r"(?:src|href)=\"([^\"]+)\"", html) if not url.startswith("data:")]
    assert files
    for url in files:
        assert url.startswith("/"), f"{url} comes from elsewhere"
        answer = http.get(url)
        assert answer.status_code == 200
        assert len(answer.content) > 100
    assert "://" not in re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*;q=0.5, text/html", 200),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("nonsense", 406),
    ],
)
def test_accept(http: httpx.Client, accept: str, status: int) -> None:
    answer = http.get("/v1/models", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert assert_problem(answer)["type"] == "/problems/not-acceptable"


def test_json_is_preferred_among_equals(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"Accept": "text/csv;q=0.9, application/json;q=0.9"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/docs"])
def test_head_is_get_without_its_body(http: httpx.Client, path: str) -> None:
    got, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers["content-length"] == str(len(got.content))


def test_several_lines_of_a_header_are_one_list(http: httpx.Client) -> None:
    lines = [("Accept", "text/html"), ("Accept", "Application/JSON")]
    assert http.get("/v1/models", headers=lines).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=UTF-8",
        "application/json; charset*=utf-8''utf-8",
    ],
)
def test_a_media_type_in_any_spelling(http: httpx.Client, content_type: str) -> None:
    answer = http.post("/v1/fits", content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 422
    assert_problem(answer)
