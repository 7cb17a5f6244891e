"""One byte of one stored file is flipped: its version says so, all others go on, and the doctor names it."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.app.api.geyser import GEYSER, fit
from tests.app.api.test_bad_input import assert_problem
from tests.postgres import postgres_database
from tests.service import running

ROWS = {"instances": GEYSER[:3].tolist()}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def predict(http: httpx.Client, model: str, version: int) -> httpx.Response:
    return http.post(f"/v1/models/{model}/versions/{version}/predict", json=ROWS)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_version_alone_is_corrupt(kind: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        environment = {}
        if kind == "postgresql":
            environment["MIXTURA_DATABASE_URL"] = stack.enter_context(postgres_database())

        def doctor() -> tuple[int, str]:
            command = [sys.executable, "-m", "app.cli", "doctor", "--data-dir", str(data)]
            done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
            return done.returncode, done.stdout

        http = stack.enter_context(stack.enter_context(running(data, **environment)).client())
        for model in ("a", "a", "b"):
            fit(http, model)
        others = [("a", 1), ("b", 1)]
        for model, version in [*others, ("a", 2)]:
            assert predict(http, model, version).status_code == 200
        assert doctor()[0] == 0

        found = http.get("/v1/models/a/versions/2").json()
        (path,) = (data / "artifacts" / "models").glob(f"{found['job']}-*")
        for at in (0, path.stat().st_size // 2, -1):  # the header, the arrays, the end
            flip(path, at)
            for answer in (predict(http, "a", 2), http.get("/v1/models/a/versions/2/artifact")):
                assert answer.status_code == 503
                assert assert_problem(answer)["type"] == "/problems/artifact-corrupt"
            assert [predict(http, *other).status_code for other in others] == [200, 200]
            status, report = doctor()
            assert status == 1
            assert [line for line in report.splitlines() if line.startswith("damaged: version 2 of model 'a'")]
            assert report.splitlines()[-1].endswith("1 damaged")
            flip(path, at)
        assert predict(http, "a", 2).status_code == 200
        assert doctor()[0] == 0
