"""The image and docker-compose.yml, built and run: closed without a key, and nothing is lost when a container dies."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
# Starts an engine on a machine that has none; beside it, what stops that engine again.
START_ENGINE = ROOT.parent / "shared" / "containers" / "up.sh"
KEY = "a key of the tests"
PASSWORD = "any/thing:may@be in %it?#&"  # no part of a URL, so it need not be quoted as one
LEASE_S = 3


def run(
    command: Sequence[str | Path], env: Mapping[str, str], *, timeout: float = 60, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; a failure shows what it wrote."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, timeout=timeout, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def eventually(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Waits until the condition holds, and fails after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Project:
    """One compose project of its own: name, port, image, environment file."""

    env: Mapping[str, str]
    env_file: Path
    port: int = field(default_factory=free_port)
    name: str = field(default_factory=lambda: f"mixtura-test-{uuid.uuid4().hex[:8]}")

    def configure(self, **values: str) -> None:
        """Writes the environment file: the variables without their prefix."""
        values = {"PORT": str(self.port), "IMAGE": self.name, "JOB_LEASE_S": str(LEASE_S)} | values
        self.env_file.write_text("".join(f"MIXTURA_{name}='{value}'\n" for name, value in values.items()))

    def compose(self, *arguments: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "-p", self.name, "--env-file", self.env_file, *arguments]
        return run(command, self.env, timeout=timeout, check=check)

    def docker(self, *arguments: str, timeout: float = 60) -> str:
        return run(["docker", *arguments], self.env, timeout=timeout).stdout.strip()

    def up(self, *arguments: str) -> None:
        """Starts what is not running, and waits until all of it is healthy."""
        self.compose("up", "--wait", "--wait-timeout", "120", *arguments, timeout=600)

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "-q", *services).stdout.split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of the service's first container."""
        document: dict[str, Any] = json.loads(self.docker("inspect", self.containers(service)[0]))[0]
        return document

    def logs(self, container: str) -> str:
        done = run(["docker", "logs", container], self.env)
        return done.stdout + done.stderr

    def python(self, service: str, script: str) -> str:
        """What a script prints in the service's container."""
        return self.compose("exec", "-T", service, "python", "-c", script).stdout.strip()

    def client(self, key: str | None = KEY) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The environment of `docker`; where no engine answers, one is started for the time of the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MIXTURA_", "COMPOSE_"))}

    def answers() -> bool:
        return shutil.which("docker") is not None and run(["docker", "version"], env, check=False).returncode == 0

    if answers():
        yield env
        return
    if not START_ENGINE.exists():
        pytest.fail("no Docker engine answers: start one, or name it in DOCKER_HOST")
    started = run([START_ENGINE], env, timeout=600)
    env |= dict(re.findall(r"^export (\w+)=(.*)$", started.stdout, re.MULTILINE))
    assert answers()
    yield env
    if "starting dockerd" in started.stderr:
        run([START_ENGINE.with_name("down.sh")], env, timeout=120)


@pytest.fixture
def unconfigured(environment: dict[str, str], tmp_path: Path) -> Project:
    """A project that nobody has started."""
    return Project(environment, tmp_path / "env")


@pytest.fixture(scope="module")
def project(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """The service with its database, healthy; gone with its data at the end."""
    project = Project(environment, tmp_path_factory.mktemp("compose") / "env")
    project.configure(ADMIN_KEY=KEY, POSTGRES_PASSWORD=PASSWORD)
    failed, healthy = request.session.testsfailed, False
    try:
        project.up("--build")
        healthy = True
        yield project
    finally:
        if not healthy or request.session.testsfailed > failed:
            print(project.compose("logs", "--no-color", "--tail", "60", check=False).stdout)
        project.compose("down", "-v", "--timeout", "5", timeout=120)
        run(["docker", "image", "rm", project.name], environment, check=False)


@pytest.fixture
def client(project: Project) -> Iterator[httpx.Client]:
    with project.client() as client:
        yield client


@pytest.fixture(scope="module")
def labels(project: Project) -> list[int]:
    """What the first version of `geyser` says of the rows it was fitted to."""
    with project.client() as client:
        rows = (ROOT / "examples" / "old_faithful.csv").read_bytes()
        upload = client.post(
            "/v1/datasets", params={"name": "geyser"}, content=rows, headers={"Content-Type": "text/csv"}
        )
        assert upload.status_code == 201, upload.text
        fit = {"model": "geyser", "algorithm": "gaussian_mixture", "data": {"dataset": "geyser"}}
        fit["params"] = {"n_components": 2, "random_state": 0}
        job = client.post("/v1/fits", json=fit, headers={"Prefer": "wait=30"})
        assert (job.status_code, job.json()["status"]) == (200, "succeeded"), job.text
        assert job.json()["result"]["version"] == 1
        return predict(client)


def predict(client: httpx.Client) -> list[int]:
    rows = np.loadtxt(ROOT / "examples" / "old_faithful.csv", delimiter=",", skiprows=1)
    answer = client.post("/v1/models/geyser/versions/1/predict", json={"instances": rows.tolist()})
    assert answer.status_code == 200, answer.text
    labels: list[int] = answer.json()["labels"]
    return labels


def start_long_fit(client: httpx.Client, model: str) -> str:
    """Where the job is, which takes seconds, and of which at least an iteration is done."""
    rows = np.random.default_rng(0).normal(size=(20_000, 8))
    params = {"n_components": 12, "n_init": 8, "max_iter": 20, "tol": 0, "random_state": 0}
    fit = {"model": model, "algorithm": "gaussian_mixture", "params": params, "data": {"instances": rows.tolist()}}
    answer = client.post("/v1/fits", json=fit)
    assert answer.status_code == 202, answer.text
    location = answer.headers["Location"]
    eventually(lambda: client.get(location).json()["progress"] is not None, 30, "the fit makes progress")
    return location


def ended(client: httpx.Client, location: str) -> dict[str, Any]:
    """The job, once it has ended."""
    job: dict[str, Any] = {}
    for _ in range(6):
        job = client.get(location, headers={"Prefer": "wait=30"}).json()
        if job["status"] not in ("queued", "running"):
            return job
    pytest.fail(f"the job has not ended: {job}")


@pytest.mark.parametrize("missing", ["ADMIN_KEY", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize("blank", [True, False])
def test_nothing_starts_without_a_secret(unconfigured: Project, missing: str, blank: bool) -> None:
    secrets = {"ADMIN_KEY": KEY, "POSTGRES_PASSWORD": PASSWORD}
    del secrets[missing]
    unconfigured.configure(**secrets, **({missing: ""} if blank else {}))

    refused = unconfigured.compose("up", "--wait", check=False)

    assert refused.returncode != 0
    assert f"MIXTURA_{missing} is missing a value" in refused.stderr
    assert "copy .env.example to .env" in refused.stderr
    assert not unconfigured.docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={unconfigured.name}")


def test_the_example_names_what_compose_reads() -> None:
    read = set(re.findall(r"\$\{(MIXTURA_\w+)|^\s+(MIXTURA_\w+):$", (ROOT / "docker-compose.yml").read_text(), re.M))
    explained = re.findall(r"^#?(MIXTURA_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted({one or other for one, other in read})


def test_every_service_is_healthy_and_limited(project: Project) -> None:
    for service in ("api", "worker", "postgres"):
        container = project.inspect(service)
        assert container["State"]["Health"]["Status"] == "healthy"
        assert container["HostConfig"]["Memory"] > 0
        assert container["HostConfig"]["NanoCpus"] > 0
        assert container["HostConfig"]["Init"] is True
        assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_published_on_this_machine_only(project: Project) -> None:
    assert project.inspect("api")["HostConfig"]["PortBindings"] == {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(project.port)}]
    }
    for service in ("worker", "postgres"):
        assert not project.inspect(service)["HostConfig"]["PortBindings"]


def test_closed_but_for_the_probes(project: Project) -> None:
    with project.client(key=None) as stranger, project.client(key="another") as impostor:
        assert stranger.get("/livez").status_code == 200
        assert stranger.get("/readyz").status_code == 200
        for caller in (stranger, impostor):
            refused = caller.get("/v1/models")
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
            assert refused.headers["Content-Type"] == "application/problem+json"


def test_fit_and_predict(labels: list[int]) -> None:
    assert len(labels) == 272
    assert 0.3 < np.mean(np.array(labels) == labels[1]) < 0.4  # the shorter eruptions, a good third


def test_a_model_outlives_the_api(project: Project, labels: list[int]) -> None:
    project.compose("kill", "-s", "SIGKILL", "api")
    assert not project.containers("api")
    project.up()
    with project.client() as client:
        assert predict(client) == labels


def test_a_fit_outlives_its_worker(project: Project, client: httpx.Client) -> None:
    project.up("--scale", "worker=2", "--no-recreate")
    workers = project.containers("worker")
    assert len(workers) == 2
    location = start_long_fit(client, "survivor")
    job_id = location.rpartition("/")[2]
    (holder,) = [worker for worker in workers if f"job {job_id}: attempt 1" in project.logs(worker)]
    (other,) = set(workers) - {holder}

    project.docker("kill", "--signal", "KILL", holder)

    assert client.get(location).json()["status"] == "running"
    job = ended(client, location)
    assert (job["status"], job["attempts"]) == ("succeeded", 2), job
    assert job["result"]["version"] == 1
    assert f"job {job_id}: attempt 2" in project.logs(other)
    assert len(client.get("/v1/models/survivor/versions").json()["items"]) == 1


def test_a_worker_that_is_stopped_hands_its_fit_back(project: Project, client: httpx.Client) -> None:
    project.up("--scale", "worker=1", "--no-recreate")
    location = start_long_fit(client, "handed-back")
    before = time.monotonic()
    project.compose("stop", "worker")
    assert time.monotonic() - before < 8  # the engine kills after 10
    eventually(lambda: client.get(location).json()["status"] == "queued", 2, "the job waits for another worker")

    project.up("--scale", "worker=1")

    job = ended(client, location)
    assert (job["status"], job["attempts"]) == ("succeeded", 1), job


def test_volumes_outlive_the_containers(project: Project, labels: list[int]) -> None:
    project.compose("down", timeout=120)
    project.up()
    with project.client() as client:
        assert predict(client) == labels


def test_a_worker_without_a_heartbeat_is_unhealthy(project: Project) -> None:
    """The check is of the worker, not of the container: with its process halted it fails."""
    container = project.inspect("worker")
    check = ["exec", "-T", "worker", *container["Config"]["Healthcheck"]["Test"][1:]]
    assert project.compose(*check).returncode == 0
    halt = "import os, signal\nfor p in filter(str.isdigit, os.listdir('/proc')):\n"
    halt += " if b'mixtura\\0worker' in open(f'/proc/{p}/cmdline', 'rb').read() and p != '1':\n"
    project.python("worker", halt + "  os.kill(int(p), signal.SIGSTOP)")
    try:
        eventually(lambda: project.compose(*check, check=False).returncode == 1, 30, "the check fails")
    finally:
        project.python("worker", halt + "  os.kill(int(p), signal.SIGCONT)")
    eventually(lambda: project.compose(*check, check=False).returncode == 0, 15, "the check passes again")


@pytest.mark.parametrize("service", ["api", "worker"])
def test_no_process_is_root_or_may_become_it(project: Project, service: str) -> None:
    script = "import glob\nfor f in glob.glob('/proc/[0-9]*/status'): print(open(f).read())"
    status = project.python(service, script)
    users = {uid for line in re.findall(r"^Uid:\s+(.*)$", status, re.MULTILINE) for uid in line.split()}
    assert users == {"10001"}
    assert set(re.findall(r"^CapEff:\s+(\w+)$", status, re.MULTILINE)) == {"0" * 16}
    assert set(re.findall(r"^NoNewPrivs:\s+(\d)$", status, re.MULTILINE)) == {"1"}


def test_the_image_carries_what_is_locked_and_no_tools(project: Project) -> None:
    script = (
        "import importlib.metadata as m\nfor d in m.distributions(): print(d.name.lower().replace('_', '-'), d.version)"
    )
    found = dict(line.split() for line in project.python("api", script).splitlines())
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.match(r"[\w.-]+", requirement).group().lower() for requirement in requirements}  # type: ignore[union-attr]

    tools = names(metadata["optional-dependencies"]["dev"]) - names(metadata["dependencies"])
    assert {"mypy", "pytest", "scikit-learn", "schemathesis"} <= tools
    assert not tools & set(found)
    assert names(metadata["dependencies"]) <= set(found)
    assert found.pop("mixtura") == metadata["version"]
    assert found == {name: locked.get(name) for name in found}


def test_a_file_with_another_hash_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("Dockerfile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("README.md", "LICENSE", "core", "app"):  # copied, but not looked into before the refusal
        (tmp_path / name).touch()
    lock = tmp_path / "requirements.lock"
    entry = re.search(r"^idna==.*\n(?:    .*\n)*", lock.read_text(), re.MULTILINE)  # needed by what we need
    assert entry is not None
    lock.write_text(lock.read_text().replace(entry[0], re.sub(r"sha256:\w+", "sha256:" + "0" * 64, entry[0])))

    build = ["docker", "build", "--progress", "plain", "--target", "builder", str(tmp_path)]
    refused = run(build, environment, timeout=300, check=False)

    assert refused.returncode != 0
    assert "Hash mismatch for `idna==" in refused.stderr
