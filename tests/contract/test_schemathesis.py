"""The running service against its own OpenAPI document, by schemathesis with all its checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import running

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schemathesis_finds_nothing(tmp_path: Path, seed: int) -> None:
    with running(tmp_path / "data") as service:
        command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.url}/openapi.json"]
        command += ["--max-examples", "20", "--seed", str(seed), "--no-color"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
        assert ran.returncode == 0, ran.stdout[-6000:]
        assert "Tested: 40" in ran.stdout
        assert "Traceback" not in service.log.read_text()
