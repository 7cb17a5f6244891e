"""The command line: what its help teaches, and what becomes of a problem."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

import app.client
from app.cli import app as cli
from app.cli import describe
from app.client import Client, Progress
from app.settings import Settings

NOW = "2026-01-02T03:04:05Z"
DATASET = {
    "id": "d1",
    "name": None,
    "n_rows": 2,
    "n_features": 2,
    "feature_names": ["a", "b"],
    "n_missing": 0,
    "dtype": "float64",
    "bytes": 8,
    "sha256": "00",
    "created_at": NOW,
}
JOB: dict[str, Any] = {
    "id": "j1",
    "kind": "fit",
    "status": "queued",
    "model": "geyser",
    "progress": None,
    "result": None,
    "error": None,
    "attempts": 0,
    "request": {},
    "created_at": NOW,
    "started_at": None,
    "finished_at": None,
}
DONE = {**JOB, "status": "succeeded", "result": {"model": "geyser", "version": 1, "metrics": {}}}
FAILED = {
    **JOB,
    "status": "failed",
    "error": {"type": "/problems/collapsed-component", "status": 422, "title": "", "detail": "Component 1 fell in."},
}
VERSION = {
    "model": "geyser",
    "version": 1,
    "algorithm": "gaussian_mixture",
    "params": {},
    "feature_names": ["a", "b"],
    "n_features": 2,
    "n_samples": 2,
    "metrics": {"log_likelihood": -1130.25, "bic": 2322.5, "n_iter": 7, "converged": True},
    "anomaly": None,
    "preprocess": None,
    "dataset": "d1",
    "job": "j1",
    "artifact": {},
    "created_at": NOW,
    "tags": {},
    "aliases": [],
}
PROBLEM = {
    "type": "/problems/invalid-request",
    "title": "Invalid request",
    "status": 422,
    "detail": "n_components is 3; there are 2 rows.",
    "errors": [{"pointer": "/params/n_components", "detail": "at most 2"}],
}
SERVED = {"name": "geyser", "version": 1}


class Service:
    """Answers by method and path, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], httpx.Response | Callable[[], httpx.Response] | BaseException] = {
            ("POST", "/v1/datasets"): httpx.Response(201, json=DATASET),
            ("POST", "/v1/fits"): httpx.Response(202, json=JOB),
            ("GET", "/v1/jobs/j1/events"): events(("progress", {"iteration": 3, "lower_bound": -4.5})),
            ("GET", "/v1/jobs/j1"): httpx.Response(200, json=DONE),
            ("GET", "/v1/models/geyser/versions/1"): httpx.Response(200, json=VERSION),
            ("POST", "/v1/models/geyser/predict"): httpx.Response(200, json={"model": SERVED, "labels": [1, 0]}),
            ("POST", "/v1/models/geyser/predict_proba"): httpx.Response(
                200, json={"model": SERVED, "probabilities": [[0.25, 0.75], [1.0, 0.0]], "ambiguity": [0.8, 0.0]}
            ),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers[request.method, request.url.path]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    def asked(self, path: str) -> httpx.Request:
        (request,) = [request for request in self.requests if request.url.path == path]
        return request


def events(*progress: tuple[str, Any], end: str = "succeeded") -> Callable[[], httpx.Response]:
    text = "".join(
        f"id: {number}\nevent: {type_}\ndata: {json.dumps(data)}\n\n"
        for number, (type_, data) in enumerate([*progress, (end, {})])
    )
    return lambda: httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(app.client, "Client", functools.partial(Client, transport=httpx.MockTransport(service)))
    return service


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    return str(path)


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(cli, args, env=env)


# Help


def test_no_arguments_show_the_commands() -> None:
    result = run()
    assert all(command in result.stdout for command in ("serve", "worker", "fit", "predict"))


@pytest.mark.parametrize("command", ["serve", "worker", "fit", "predict"])
def test_help_teaches_by_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"mixtura {command}" in result.stdout
    assert "--supervised" not in result.stdout
    assert "--worker-id" not in result.stdout


def test_help_of_serve_lists_every_setting() -> None:
    words = set(run("serve", "--help").stdout.split())
    for name, default, _ in Settings.table():
        assert {name, default} <= words


def test_readme_lists_every_setting_as_the_code_has_it() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name, default, description in Settings.table():
        assert f"| `{name}` | `{default}` | {description} |" in readme


@pytest.mark.parametrize("command", [[], ["fit"], ["predict"]])
def test_help_of_the_client_loads_neither_numbers_nor_service(command: list[str]) -> None:
    code = (
        "import sys; from app.cli import app\n"
        f"try: app({[*command, '--help']!r})\n"
        "finally: print(sorted({'numpy', 'httpx', 'fastapi', 'sqlalchemy', 'app.settings'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Fit


def test_fit_uploads_fits_and_shows_what_came_of_it(service: Service, data: str) -> None:
    result = run(
        *("fit", data, "--model", "geyser", "--n-components", "2", "--covariance-type", "tied"),
        *("--n-init", "3", "--random-state", "0", "--alias", "champion"),
    )
    assert result.exit_code == 0, result.output
    assert service.asked("/v1/datasets").content == Path(data).read_bytes()
    assert json.loads(service.asked("/v1/fits").content) == {
        "model": "geyser",
        "algorithm": "gaussian_mixture",
        "params": {"n_components": 2, "covariance_type": "tied", "n_init": 3, "random_state": 0},
        "data": {"dataset": "d1"},
        "alias": "champion",
    }
    assert result.stdout.splitlines()[0] == "geyser version 1"
    assert "-1130.25" in result.stdout
    assert "log-likelihood -4.500000" in result.stderr


def test_clusters_mean_k_means(service: Service, data: str) -> None:
    assert run("fit", data, "--model", "geyser", "--n-clusters", "2").exit_code == 0
    request = json.loads(service.asked("/v1/fits").content)
    assert (request["algorithm"], request["params"]) == ("kmeans", {"n_clusters": 2})


def test_refused_fit_prints_its_sentence_and_pointers(service: Service, data: str) -> None:
    service.answers["POST", "/v1/fits"] = httpx.Response(422, json=PROBLEM)
    result = run("fit", data, "--model", "geyser", "--n-components", "3")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "mixtura: n_components is 3; there are 2 rows.\n  /params/n_components: at most 2\n"


def test_failed_fit_says_why(service: Service, data: str) -> None:
    service.answers["GET", "/v1/jobs/j1/events"] = events(end="failed")
    service.answers["GET", "/v1/jobs/j1"] = httpx.Response(200, json=FAILED)
    result = run("fit", data, "--model", "geyser", "--n-components", "2")
    assert result.exit_code == 1
    assert "Component 1 fell in." in result.stderr


def test_interrupted_fit_is_cancelled(service: Service, data: str) -> None:
    service.answers["GET", "/v1/jobs/j1/events"] = KeyboardInterrupt()
    service.answers["POST", "/v1/jobs/j1/cancel"] = httpx.Response(200, json={**JOB, "status": "cancelled"})
    result = run("fit", data, "--model", "geyser", "--n-components", "2")
    assert result.exit_code == 130
    assert "cancelled job j1" in result.stderr


def test_absent_service_is_said_to_be_absent(service: Service, data: str) -> None:
    service.answers["POST", "/v1/datasets"] = httpx.ConnectError("Connection refused")
    result = run("fit", data, "--model", "geyser", "--n-components", "2", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.stderr
    assert "mixtura serve" in result.stderr


def test_absent_file_is_a_mistake_of_usage(service: Service) -> None:
    result = run("fit", "nowhere.csv", "--model", "geyser")
    assert result.exit_code == 2
    assert service.requests == []


def test_url_and_key_come_from_the_environment_too(service: Service, data: str) -> None:
    run("predict", "geyser", data, MIXTURA_URL="http://elsewhere:1", MIXTURA_API_KEY="secret")
    (request,) = service.requests
    assert (request.url.host, request.headers["Authorization"]) == ("elsewhere", "Bearer secret")


# Predict


def test_predict_writes_a_label_a_row(service: Service, data: str) -> None:
    result = run("predict", "geyser", data)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "label\n1\n0\n", "")
    assert service.requests[0].content == Path(data).read_bytes()


def test_predict_writes_probabilities_to_a_file(service: Service, data: str, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    result = run("predict", "geyser", data, "--proba", "--output", str(output))
    assert (result.exit_code, result.stdout) == (0, "")
    assert output.read_text() == "p0,p1\n0.25,0.75\n1.0,0.0\n"


def test_predict_with_a_version_asks_that_version(service: Service, data: str) -> None:
    reply = httpx.Response(200, json={"model": SERVED, "labels": [1, 0]})
    service.answers["POST", "/v1/models/geyser/versions/champion/predict"] = reply
    assert run("predict", "geyser", data, "--version", "champion").exit_code == 0


# Serve and worker


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the two long-running commands were called with; each returns 7."""
    calls: list[tuple[Any, ...]] = []

    def stub(*args: Any) -> int:
        calls.append(args)
        return 7

    for module, function in (("app.serve", "serve"), ("app.worker.entry", "run_worker")):
        fake = ModuleType(module)
        setattr(fake, function, stub)
        monkeypatch.setitem(sys.modules, module, fake)
    return calls


def test_serve_passes_on_its_options(
    called: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXTURA_DATA_DIR", "elsewhere")
    result = run("serve", "--port", "0", "--data-dir", str(tmp_path), "--workers", "2", "--no-worker", "--insecure")
    assert result.exit_code == 7
    assert called == [("127.0.0.1", 0, tmp_path, 2, False, True)]
    assert Settings().data_dir == tmp_path


def test_worker_passes_on_its_options(called: list[tuple[Any, ...]]) -> None:
    assert run("worker", "--concurrency", "3", "--supervised", "--worker-id", "w1").exit_code == 7
    assert run("worker").exit_code == 7
    assert called == [(3, True, "w1"), (1, False, None)]


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(phase="queued"), "queued"),
        (Progress(), ""),
        (
            Progress(init=2, n_init=5, iteration=3, lower_bound=-1.5),
            "start 2/5, iteration 3, log-likelihood -1.500000",
        ),
        (Progress(iteration=3, inertia=1234.5), "iteration 3, inertia 1234.5"),
    ],
)
def test_progress_in_words(progress: Progress, words: str) -> None:
    assert describe(progress) == words
