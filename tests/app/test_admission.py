"""Closed by default: a service with a key, and one that would be open to others."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.api.test_bad_input import assert_problem
from tests.service import Service, running

KEY = "a-key-of-some-length"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("locked") / "data", MIXTURA_ADMIN_KEY=KEY) as service:
        yield service


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"admin:{key}".encode()).decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("POST", "/v1/fits"), ("GET", "/v1/nothing"), ("GET", "/openapi.json"), ("GET", "/docs")],
)
@pytest.mark.parametrize("sent", [None, "Bearer wrong", "Bearer", KEY, f"Token {KEY}", f"Bearer {KEY}x"])
def test_without_the_key_nobody_gets_in(locked: Service, method: str, path: str, sent: str | None) -> None:
    with locked.client() as http:
        answer = http.request(method, path, headers={} if sent is None else {"Authorization": sent})
    assert answer.status_code == 401
    assert assert_problem(answer)["type"] == "/problems/unauthorized"
    assert answer.headers["www-authenticate"].startswith(("Bearer ", "Basic "))
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_open(locked: Service, path: str) -> None:
    with locked.client() as http:
        assert http.get(path).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_key_lets_in(locked: Service, scheme: str) -> None:
    with locked.client(headers={"Authorization": f"{scheme} {KEY}"}) as http:
        assert http.get("/v1/models").status_code == 200
        assert http.get("/v1/nothing").status_code == 404
        assert http.get("/openapi.json").json()["security"] == [{"key": []}]


def test_a_browser_may_type_the_key_for_pages_only(locked: Service) -> None:
    with locked.client() as http:
        challenge = http.get("/docs").headers["www-authenticate"]
        assert challenge.startswith("Basic ")
        assert http.get("/docs", headers={"Authorization": basic(KEY)}).status_code == 200
        assert http.get("/docs", headers={"Authorization": basic("wrong")}).status_code == 401
        assert http.get("/docs", headers={"Authorization": "Basic ???"}).status_code == 401
        assert http.get("/v1/models", headers={"Authorization": basic(KEY)}).status_code == 401
        assert http.get("/v1/models").headers["www-authenticate"].startswith("Bearer ")


def test_moves_are_signed(locked: Service) -> None:
    with locked.client(headers={"Authorization": f"Bearer {KEY}"}) as http:
        fit = {"model": "m", "algorithm": "kmeans", "params": {"n_clusters": 1}, "data": {"instances": [[1.0], [2.0]]}}
        http.post("/v1/fits", json=fit, headers={"Prefer": "wait=30"}).raise_for_status()
        http.put("/v1/models/m/aliases/champion", json={"version": 1}).raise_for_status()
        history = http.get("/v1/models/m/aliases/champion/history").json()["items"]
        assert [move["by"] for move in history] == ["admin"]


def test_an_open_service_is_not_offered_to_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    command = [sys.executable, "-m", "app.cli", "serve", "--host", "0.0.0.0", "--port", "1"]
    command += ["--data-dir", str(tmp_path_factory.mktemp("open"))]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "MIXTURA_ADMIN_KEY" in refused.stderr
    assert "--insecure" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("environment", [{}, {"MIXTURA_ADMIN_KEY": KEY}])
def test_it_is_offered_when_that_is_meant(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    arguments = ["--host", "0.0.0.0", "--no-worker", *([] if environment else ["--insecure"])]
    with running(tmp_path_factory.mktemp("meant") / "data", *arguments, **environment) as service:
        assert httpx.get(f"{service.url}/livez").status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MIXTURA_ADMIN_KEY", "short", "8 characters"),
        ("MIXTURA_DATABASE_URL", "mysql://localhost/x", "mysql"),
        ("MIXTURA_ARTIFACTS_URL", "ftp://localhost/x", "ftp"),
        ("MIXTURA_MAX_BODY_BYTES", "many", "max_body_bytes"),
        ("MIXTURA_DATABASE_URL", "nonsense", "MIXTURA_DATABASE_URL"),
        ("MIXTURA_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:1/none", "does not answer"),
        ("MIXTURA_ARTIFACTS_URL", "file:///proc/none", "/proc/none"),
    ],
)
@pytest.mark.parametrize("process", ["serve", "worker"])
def test_a_wrong_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: str, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv("MIXTURA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "app.cli", process]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert says.lower() in refused.stderr.lower()
    assert "Traceback" not in refused.stderr
