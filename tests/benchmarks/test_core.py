"""A run of small sizes: every line is there, and the answers agree. Times are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.core.peers import installed

ROOT = Path(__file__).parents[2]
Line = dict[str, Any]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """What `make bench-core ARGS=--quick` writes, in this environment."""
    directory = tmp_path_factory.mktemp("benchmarks")
    report = directory / "report.json"
    command = [sys.executable, "-m", "benchmarks.core", "--quick", "--json", str(report), "--plots", str(directory)]
    # Threads that spin while they wait are slow on a machine that has other work, as one that runs tests may have.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    document = json.loads(report.read_text())
    assert document["versions"]["scikit-learn"] != "not installed"
    lines: list[Line] = document["lines"]
    return lines


def test_no_line_fails(lines: list[Line]) -> None:
    assert [line for line in lines if line.get("failed")] == []


def test_a_peer_that_is_missing_is_said_to_be(lines: list[Line]) -> None:
    for line in lines:
        assert (line.get("word") == "not installed") is not installed(line["peer"]), line
    assert {line["peer"] for line in lines} == {"scikit-learn", "pomegranate", "faiss-cpu", "matplotlib"}


def test_from_the_same_start_iterations_and_bounds_are_scikit_learns(lines: list[Line]) -> None:
    same = [line for line in lines if line["group"].startswith("iterations")]
    assert len(same) == 5
    for line in same:
        assert line["ours"] == line["theirs"]
        assert line["value"] <= 1e-9


def test_each_line_against_scikit_learn_has_a_figure_and_its_spread(lines: list[Line]) -> None:
    timed = ("EM, an iteration", "variational EM", "Lloyd", "whole fit", "calls")
    ours = [line for line in lines if line["peer"] == "scikit-learn" and line["group"].startswith(timed)]
    assert len(ours) == 18 + 4 + 12 + 9 + 8
    for line in ours:
        low, high = line["spread"]
        assert 0 < low <= high
        assert line["ours"] > 0
        assert line["theirs"] > 0
        assert line["answers"]
