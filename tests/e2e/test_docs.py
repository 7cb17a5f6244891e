"""What the documentation tells a reader to type works when it is typed: curl tours, the Python example, the demo."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.settings import Settings
from tests.service import Service, running

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of a page, without what needs Docker."""
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for block in found if "docker compose" not in block]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "data") as service:
        yield service


def shell(script: str, service: Service, tmp_path: Path) -> str:
    script = script.replace("http://127.0.0.1:8000", service.url)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = ["bash", "-euo", "pipefail", "-c", script]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.parametrize(("page", "least"), [(README, 3), (ROOT / "examples" / "curl.md", 15)])
def test_the_curl_blocks_work_in_order(page: Path, least: int, fresh: Service, tmp_path: Path) -> None:
    scripts = blocks(page, "bash")
    assert len(scripts) >= least
    for script in scripts:
        answer = shell(script, fresh, tmp_path)
        assert answer or "DELETE" in script or "-o " in script


def test_the_python_examples_work(fresh: Service) -> None:
    printed = []
    for script in blocks(README, "python"):
        command = [sys.executable, "-c", script.replace("http://127.0.0.1:8000", fresh.url)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        printed.append(ran.stdout)
    client, core = printed
    assert "fitting" in client or "evaluating" in client
    assert "\n2 1 " in core  # the second start's first iteration


def test_the_settings_table_is_the_settings() -> None:
    text = README.read_text()
    for name, default, description in Settings.table():
        assert f"| `{name}` | `{default}` | {description} |" in text


def test_the_demo_serves_every_verb_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for verb in ("predict", "predict_proba", "density", "transform", "anomaly", "sample", "evaluate"):
        assert verb in ran.stdout
    left = [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("TMPDIR") == str(tmp_path)]
    assert left == []


def test_the_command_line_fits_and_predicts(fresh: Service, tmp_path: Path) -> None:
    mixtura = [sys.executable, "-m", "app.cli"]
    csv, out = str(ROOT / "examples" / "old_faithful.csv"), tmp_path / "labels.csv"
    for command in (
        [*mixtura, "fit", csv, "--model", "geyser", "--n-components", "2", "--url", fresh.url],
        [*mixtura, "predict", "geyser", csv, "--url", fresh.url, "--output", str(out)],
    ):
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    labels = out.read_text().split()
    assert len(labels) == 273
    assert set(labels[1:]) == {"0", "1"}
    wrong = [*mixtura, "fit", csv, "--model", "geyser", "--n-components", "999", "--url", fresh.url]
    refused = subprocess.run(wrong, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "/params/n_components" in refused.stderr
    assert "Traceback" not in refused.stderr
