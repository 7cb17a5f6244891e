"""The Python client against a transport that answers as the service does, or does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.client import (
    Client,
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    NotFound,
    Problem,
    ProblemError,
    Progress,
    Unauthorized,
    Unavailable,
    WaitTimeout,
)
from app.client.events import parse

NOW = "2026-01-02T03:04:05.678Z"
JOB: dict[str, Any] = {
    "id": "j1",
    "kind": "fit",
    "status": "queued",
    "model": "geyser",
    "progress": None,
    "result": None,
    "error": None,
    "attempts": 0,
    "request": {"model": "geyser"},
    "created_at": NOW,
    "started_at": None,
    "finished_at": None,
}
DONE = {**JOB, "status": "succeeded", "result": {"model": "geyser", "version": 3, "metrics": {}}}
VERSION: dict[str, Any] = {
    "model": "geyser",
    "version": 3,
    "algorithm": "gaussian_mixture",
    "params": {"n_components": 2},
    "feature_names": ["a", "b"],
    "n_features": 2,
    "n_samples": 4,
    "metrics": {"bic": 1.5},
    "anomaly": None,
    "preprocess": None,
    "dataset": "d1",
    "job": "j1",
    "artifact": {"sha256": "00", "bytes": 1},
    "created_at": NOW,
    "tags": {},
    "aliases": [],
}
DATASET: dict[str, Any] = {
    "id": "d1",
    "name": "geyser",
    "n_rows": 2,
    "n_features": 2,
    "feature_names": ["a", "b"],
    "n_missing": 0,
    "dtype": "float64",
    "bytes": 16,
    "sha256": "00",
    "created_at": NOW,
    "field_of_the_future": True,
}

Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Service:
    """Answers requests from a script, in order, and keeps them; the last reply goes on."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    def client(self, **options: Any) -> Client:
        return Client("http://service", transport=httpx.MockTransport(self), **options)


def answer(payload: object, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=payload, headers=headers)


def problem(status: int, slug: str = "some-problem", **headers: str) -> httpx.Response:
    document = {
        "type": f"/problems/{slug}",
        "title": "A title",
        "status": status,
        "detail": "A sentence.",
        "errors": [{"pointer": "/params/tol", "detail": "must be positive"}],
        "request_id": "r1",
    }
    return answer(document, status, **{"content-type": "application/problem+json", **headers})


def stream(*frames: str, broken: bool = False) -> httpx.Response:
    def chunks() -> Iterator[bytes]:
        yield from (frame.encode() for frame in frames)
        if broken:
            raise httpx.ReadError("connection reset")

    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())


def frame(id_: int, type_: str, data: object) -> str:
    return f"id: {id_}\nevent: {type_}\ndata: {json.dumps(data)}\n\n"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


# Retries


def test_busy_service_is_asked_again_after_the_time_it_names(pauses: list[float]) -> None:
    service = Service(problem(503, "queue-full", **{"Retry-After": "2"}), answer(JOB, 202))
    job = service.client().fit("geyser", instances=[[1, 2]])
    assert job.id == "j1"
    assert pauses == [2.0]


def test_creation_keeps_its_idempotency_key_over_retries_and_changes_it_between_calls() -> None:
    service = Service(httpx.ConnectError("refused"), httpx.ReadError("reset"), answer(JOB, 202), answer(JOB, 202))
    client = service.client()
    client.fit("geyser", instances=[[1, 2]])
    client.fit("geyser", instances=[[1, 2]])
    keys = [request.headers["Idempotency-Key"] for request in service.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len({request.content for request in service.requests}) == 1


def test_reading_carries_no_idempotency_key() -> None:
    service = Service(answer(JOB))
    service.client().job("j1")
    assert "Idempotency-Key" not in service.requests[0].headers


def test_connection_that_stays_broken_ends_in_connection_failed(pauses: list[float]) -> None:
    service = Service(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match=r"http://service.*refused"):
        service.client(retries=3).job("j1")
    assert len(service.requests) == 4
    assert all(later > earlier for earlier, later in pairwise(pauses))


def test_late_answer_is_not_asked_for_twice() -> None:
    service = Service(httpx.ReadTimeout("late"))
    with pytest.raises(ConnectionFailed, match="within 7 s"):
        service.client(timeout=7).job("j1")
    assert len(service.requests) == 1


def test_busy_service_is_not_asked_for_ever() -> None:
    service = Service(problem(503, "queue-full", **{"Retry-After": "1"}))
    with pytest.raises(Unavailable):
        service.client(retries=2).job("j1")
    assert len(service.requests) == 3


def test_unavailable_without_retry_after_is_told_at_once() -> None:
    service = Service(problem(503, "artifact-corrupt"))
    with pytest.raises(Unavailable) as caught:
        service.client().model("geyser").predict([[1, 2]])
    assert caught.value.type == "/problems/artifact-corrupt"
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("value", "pause"),
    [("0", 0.0), ("1e9", 30.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("-3", 0.0)],
)
def test_retry_after_is_kept_within_bounds(pauses: list[float], value: str, pause: float) -> None:
    Service(problem(503, **{"Retry-After": value}), answer(JOB)).client().job("j1")
    assert pauses == [pause]


# Errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Conflict),
        (412, Conflict),
        (413, InvalidRequest),
        (415, InvalidRequest),
        (422, InvalidRequest),
        (429, Unavailable),
        (503, Unavailable),
        (500, ProblemError),
    ],
)
def test_problem_becomes_the_exception_of_its_status(status: int, kind: type[ProblemError]) -> None:
    with pytest.raises(ProblemError) as caught:
        Service(problem(status)).client().job("j1")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.type, error.title) == (status, "/problems/some-problem", "A title")
    assert (error.detail, error.request_id) == ("A sentence.", "r1")
    assert error.errors == ({"pointer": "/params/tol", "detail": "must be positive"},)
    assert str(error) == "A sentence.\n  /params/tol: must be positive"


def test_problem_in_words_says_nothing_twice() -> None:
    errors = ({"pointer": "/a", "detail": "a is 3"}, {"pointer": "/b", "detail": "b is 4"})
    assert str(Problem(422, detail="a is 3", errors=errors)) == "a is 3\n  /a\n  /b: b is 4"
    assert str(Problem(422, detail="/a: a is 3", errors=errors[:1])) == "/a: a is 3"
    assert str(Problem(422, title="Invalid")) == "Invalid"


def test_answer_that_is_no_problem_document_is_still_an_error() -> None:
    page = httpx.Response(502, text="<h1>Bad gateway</h1>", headers={"X-Request-Id": "r2"})
    with pytest.raises(Unavailable, match="Bad gateway") as caught:
        Service(page).client().job("j1")
    assert (caught.value.type, caught.value.request_id) == ("about:blank", "r2")


def test_api_key_is_a_bearer_token() -> None:
    service = Service(answer(JOB))
    service.client(api_key="secret").job("j1")
    assert service.requests[0].headers["Authorization"] == "Bearer secret"


# Lists


def test_pages_are_followed_to_the_last() -> None:
    service = Service(
        answer({"items": [DATASET, {**DATASET, "id": "d2"}], "next": "c+1"}),
        answer({"items": [{**DATASET, "id": "d3"}], "next": None}),
    )
    assert [dataset.id for dataset in service.client().datasets(limit=2)] == ["d1", "d2", "d3"]
    assert [dict(request.url.params) for request in service.requests] == [
        {"limit": "2"},
        {"limit": "2", "cursor": "c+1"},
    ]


def test_filters_of_jobs_are_joined_by_commas() -> None:
    service = Service(answer({"items": [], "next": None}))
    assert list(service.client().jobs(status=["queued", "running"], model="geyser")) == []
    assert dict(service.requests[0].url.params) == {"status": "queued,running", "model": "geyser"}


# Data on the way in


def sent(service: Service) -> Any:
    return json.loads(service.requests[-1].content)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([[1.5, np.nan], [3, 4]]), [[1.5, None], [3.0, 4.0]]),
        (np.array([[1, 2]]), [[1, 2]]),
        ([[1, float("nan")], (np.float64(2), None)], [[1, None], [2.0, None]]),
        ([np.array([1.0, 2.0])], [[1.0, 2.0]]),
        ([{"a": 1, "b": np.nan}, {"b": 2}], [{"a": 1, "b": None}, {"b": 2}]),
        ([], []),
    ],
)
def test_rows_are_sent_as_json(rows: Any, expected: Any) -> None:
    service = Service(answer(JOB, 202))
    service.client().fit("geyser", instances=rows)
    assert sent(service)["data"] == {"instances": expected}


@pytest.mark.parametrize("rows", [np.array([[1, np.inf]]), [[1, -np.inf]], [{"a": float("inf")}]])
def test_infinite_value_is_refused_before_it_is_sent(rows: Any) -> None:
    service = Service(answer(JOB, 202))
    with pytest.raises(ValueError, match=r"row 0, column .* is infinite"):
        service.client().fit("geyser", instances=rows)
    assert service.requests == []


def test_one_dimensional_array_is_refused() -> None:
    with pytest.raises(ValueError, match="2-D"):
        Service(answer({})).client().model("geyser").predict(np.arange(3))


def test_fit_sends_what_it_is_given_and_nothing_else() -> None:
    service = Service(answer(JOB, 202))
    service.client().fit(
        "geyser",
        instances=[[1, 2]],
        feature_names=["a", "b"],
        sample_weight=np.array([0.5]),
        labels=np.array(["x"]),
        params={"n_components": np.int64(2), "means_init": np.zeros((1, 2))},
        preprocess={"scale": "standard"},
        anomaly={"contamination": 0.05},
        alias="champion",
        tags={"team": "geo"},
        timeout_s=60,
        priority=1,
    )
    assert sent(service) == {
        "model": "geyser",
        "algorithm": "gaussian_mixture",
        "params": {"n_components": 2, "means_init": [[0.0, 0.0]]},
        "data": {
            "instances": [[1, 2]],
            "feature_names": ["a", "b"],
            "sample_weight": [0.5],
            "labels": ["x"],
        },
        "preprocess": {"scale": "standard"},
        "anomaly": {"contamination": 0.05},
        "alias": "champion",
        "tags": {"team": "geo"},
        "timeout_s": 60,
        "priority": 1,
    }


def test_fit_on_a_dataset_names_it() -> None:
    service = Service(answer(DATASET, 201), answer(JOB, 202))
    client = service.client()
    dataset = client.upload([[1, 2], [3, 4]], feature_names=["a", "b"])
    client.fit("geyser", dataset=dataset, features=["a"], labels="b")
    assert sent(service)["data"] == {"dataset": "d1", "features": ["a"], "labels": "b"}


@pytest.mark.parametrize("source", [{}, {"instances": [[1]], "dataset": "d1"}])
def test_fit_takes_one_source_of_rows(source: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Service(answer(JOB)).client().fit("geyser", **source)


def test_file_is_streamed_and_sent_whole_again_on_a_retry(tmp_path: Path) -> None:
    path = tmp_path / "geyser.csv"
    path.write_text("a,b\n1,2\n" * 50_000)
    service = Service(httpx.ReadError("reset"), answer(DATASET, 201))
    dataset = service.client().upload(path, name="geyser")
    assert (dataset.id, dataset.created_at.year) == ("d1", 2026)
    first, second = service.requests
    assert first.content == second.content == path.read_bytes()
    assert second.headers["Content-Type"] == "text/csv"
    assert int(second.headers["Content-Length"]) == path.stat().st_size
    assert dict(second.url.params) == {"name": "geyser"}


def test_bytes_are_a_csv() -> None:
    service = Service(answer(DATASET, 201))
    service.client().upload(b"a\n1\n")
    assert service.requests[0].headers["Content-Type"] == "text/csv"
    assert service.requests[0].content == b"a\n1\n"


def test_file_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.xlsx: .*\.csv"):
        Service(answer(DATASET)).client().upload(tmp_path / "data.xlsx")


# Jobs


def test_wait_asks_for_held_answers_until_the_job_ends() -> None:
    service = Service(answer(JOB, 202), answer({**JOB, "status": "running"}), answer(DONE), answer(VERSION))
    version = service.client().fit("geyser", instances=[[1, 2]]).wait()
    assert (version.model, version.version, version.metrics) == ("geyser", 3, {"bic": 1.5})
    assert [request.headers.get("Prefer") for request in service.requests] == [
        None,
        "wait=30",
        "wait=30",
        None,
    ]
    assert service.requests[-1].url.path == "/v1/models/geyser/versions/3"


def test_wait_gives_up_at_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    service = Service(answer(JOB))
    with pytest.raises(TimeoutError, match="still queued") as caught:
        service.client().job("j1").wait(timeout=5)
    assert isinstance(caught.value, WaitTimeout)
    assert {request.headers.get("Prefer") for request in service.requests} == {None, "wait=3"}


@pytest.mark.parametrize(("status", "kind"), [("failed", JobFailed), ("cancelled", JobCancelled)])
def test_wait_raises_what_the_job_died_of(status: str, kind: type[JobFailed]) -> None:
    error = {"type": "/problems/collapsed-component", "title": "…", "status": 422, "detail": "It fell in."}
    service = Service(answer({**JOB, "status": status, "error": error if status == "failed" else None}))
    with pytest.raises(JobFailed) as caught:
        service.client().job("j1").wait()
    assert type(caught.value) is kind
    assert caught.value.job.status == status
    if status == "failed":
        assert caught.value.problem.type == "/problems/collapsed-component"
        assert "It fell in." in str(caught.value)


def test_events_resume_behind_the_last_one_seen() -> None:
    service = Service(
        answer(JOB),
        stream(frame(1, "progress", {"iteration": 1}), ": ping\n\n", "id: 2\nevent: prog", broken=True),
        httpx.ConnectError("refused"),
        stream(frame(2, "progress", {"iteration": 2}), frame(3, "succeeded", DONE)),
    )
    events = list(service.client().job("j1").events())
    assert [(event.id, event.type) for event in events] == [
        ("1", "progress"),
        ("2", "progress"),
        ("3", "succeeded"),
    ]
    assert [request.headers.get("Last-Event-ID") for request in service.requests] == [None, None, "1", "1"]


def test_events_end_when_no_connection_brings_any_more() -> None:
    service = Service(answer(JOB), lambda _: stream())
    with pytest.raises(ConnectionFailed, match="broke off"):
        list(service.client(retries=2).job("j1").events())
    assert len(service.requests) == 1 + 3


def test_events_of_an_unknown_job_are_not_found() -> None:
    service = Service(answer(JOB), problem(404, "job-not-found"))
    with pytest.raises(NotFound):
        list(service.client().job("j1").events())


def test_wait_reports_progress() -> None:
    service = Service(
        answer(JOB),
        stream(
            frame(1, "progress", {"phase": "em", "iteration": 4, "lower_bound": -1.5, "new": 1}),
            frame(2, "succeeded", DONE),
        ),
        answer(DONE),
        answer(VERSION),
    )
    seen: list[Progress] = []
    version = service.client().job("j1").wait(on_progress=seen.append)
    assert seen == [Progress(phase="em", iteration=4, lower_bound=-1.5)]
    assert version.version == 3


def test_watching_gives_up_at_its_timeout() -> None:
    service = Service(answer(JOB), stream(*(": ping\n\n" for _ in range(10_000))))
    with pytest.raises(WaitTimeout):
        service.client().job("j1").wait(timeout=0, on_progress=print)


def test_event_stream_is_parsed_as_the_standard_says() -> None:
    lines = ["", ":comment", "id:7", "data: [1,", "data:2]", "", "event: x", "", "event: y", "data: 0", ""]
    events = [event for event in parse(lines) if event is not None]
    assert [(event.id, event.type, event.data) for event in events] == [
        ("7", "message", [1, 2]),
        ("7", "y", 0),
    ]


def test_cancel_returns_the_job() -> None:
    service = Service(answer(JOB), answer({**JOB, "status": "cancelled"}))
    assert service.client().job("j1").cancel().status == "cancelled"
    assert (service.requests[1].method, service.requests[1].url.path) == ("POST", "/v1/jobs/j1/cancel")


# Models


def test_verbs_ask_the_model_or_the_version_they_are_bound_to() -> None:
    reply = {"model": {"name": "geyser", "version": 3}, "labels": [1, 0]}
    service = Service(answer(reply))
    client = service.client()
    result = client.model("geyser").predict([[1, 2], [3, 4]])
    assert (result.model, result.version, result.labels.tolist()) == ("geyser", 3, [1, 0])
    client.model("geyser", "champion").predict(b"a,b\n1,2\n")
    assert [request.url.path for request in service.requests] == [
        "/v1/models/geyser/predict",
        "/v1/models/geyser/versions/champion/predict",
    ]
    assert service.requests[1].headers["Content-Type"] == "text/csv"


def test_options_of_a_verb_go_with_json_in_the_body_and_with_a_file_in_the_query() -> None:
    reply = {
        "model": {"name": "geyser", "version": 3},
        "score": [1.0, None],
        "is_anomaly": [False, True],
        "threshold": 2.0,
        "p_value": None,
        "n_flagged": 1,
        "warnings": [],
    }
    service = Service(answer(reply))
    model = service.client().model("geyser")
    found = model.anomaly([[1, 2], [3, 4]], contamination=0.1)
    assert sent(service) == {"instances": [[1, 2], [3, 4]], "contamination": 0.1}
    assert found.is_anomaly.dtype == np.bool_
    assert np.isnan(found.score[1])
    assert found.p_value is None
    model.anomaly(b"a,b\n1,2\n", threshold=1.5)
    assert dict(service.requests[1].url.params) == {"threshold": "1.5"}


def test_version_of_a_handle_is_its_default_alias_or_else_the_latest() -> None:
    service = Service(problem(404, "alias-not-found"), answer(VERSION))
    assert service.client().model("geyser").version().version == 3
    assert [request.url.path.rsplit("/", 1)[1] for request in service.requests] == ["default", "latest"]


def test_alias_carries_its_etag_and_honours_if_match() -> None:
    service = Service(answer({"alias": "champion", "version": 3}, ETag='"2"'), problem(412, "precondition-failed"))
    model = service.client().model("geyser")
    alias = model.set_alias("champion", 3)
    assert (alias.version, alias.etag) == (3, '"2"')
    with pytest.raises(Conflict):
        model.set_alias("champion", 4, if_match=alias.etag)
    assert service.requests[1].headers["If-Match"] == '"2"'


def test_alias_history_names_both_ends_of_a_move() -> None:
    move = {"from": None, "to": 3, "by": "admin", "at": NOW}
    service = Service(answer({"items": [move], "next": None}))
    (read,) = service.client().model("geyser").alias_history("champion")
    assert (read.from_version, read.to_version, read.by, read.at.year) == (None, 3, "admin", 2026)


def test_names_are_quoted_in_paths() -> None:
    service = Service(problem(404))
    with pytest.raises(NotFound):
        service.client().model("a/b?c").info()
    assert service.requests[0].url.raw_path == b"/v1/models/a%2Fb%3Fc"


def test_artifact_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    service = Service(stream("abc", "def"), stream("abc", broken=True))
    model = service.client().model("geyser", 3)
    assert model.download_artifact(target).read_bytes() == b"abcdef"
    target.unlink()
    with pytest.raises(ConnectionFailed):
        model.download_artifact(target)
    assert list(tmp_path.iterdir()) == []
