import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from app.compute.process import Checkpoint, Done, Failed, ProcessLost, Progress, TaskProcess
from tests.app.compute.targets import explain, run


@pytest.fixture
def process() -> Iterator[TaskProcess]:
    process = TaskProcess(run, explain)
    yield process
    process.end()


def finish(process: TaskProcess, task: dict[str, Any]) -> Progress | Done | Failed:
    process.start(task)
    assert process.poll(30) == Progress({"began": task["do"]})
    answer = process.poll(30)
    assert isinstance(answer, Progress | Done | Failed)
    return answer


def test_it_stays_warm_from_task_to_task(process: TaskProcess) -> None:
    first = finish(process, {"do": "echo", "value": [1, "ü"], "size": 3})
    assert isinstance(first, Done)
    assert first.document["value"] == [1, "ü"]
    assert first.document["nan"] is None
    assert first.content == b"\x00\xff" * 3
    second = finish(process, {"do": "echo", "value": 2, "size": 2_000_000})
    assert isinstance(second, Done)
    assert second.document["pid"] == first.document["pid"] == process.pid != os.getpid()
    assert len(second.content) == 4_000_000


def test_what_a_task_raises_is_told_and_the_process_lives(process: TaskProcess) -> None:
    pid = process.pid
    assert finish(process, {"do": "raise"}) == Failed({"error": "ValueError", "detail": "as told"})
    assert isinstance(finish(process, {"do": "echo", "value": 0, "size": 0}), Done)
    assert process.pid == pid


@pytest.mark.parametrize("death", ["die", "segfault"])
def test_a_death_is_noticed_and_the_next_task_finds_a_fresh_process(process: TaskProcess, death: str) -> None:
    pid = process.pid
    with pytest.raises(ProcessLost):
        finish(process, {"do": death})
    process.restart()
    assert process.pid != pid
    assert isinstance(finish(process, {"do": "echo", "value": 0, "size": 0}), Done)


def test_it_can_be_ended_inside_a_long_computation(process: TaskProcess) -> None:
    process.start({"do": "blas"})
    assert isinstance(process.poll(30), Progress)
    assert process.poll(0.5) is None
    pid = process.pid
    process.restart()
    assert not psutil.pid_exists(pid)
    assert isinstance(finish(process, {"do": "echo", "value": 0, "size": 0}), Done)


def test_past_its_memory_a_task_fails_and_the_process_lives() -> None:
    process = TaskProcess(run, explain, memory_bytes=200 * 2**20)
    try:
        answer = finish(process, {"do": "memory", "bytes": 400 * 2**20})
        assert isinstance(answer, Failed)
        assert "MemoryError" in answer.document["error"]
        assert isinstance(finish(process, {"do": "memory", "bytes": 50 * 2**20}), Done)
    finally:
        process.end()


PARENT = """
from app.compute.process import TaskProcess
from tests.app.compute.targets import explain, run
import os, time
if __name__ == "__main__":
    process = TaskProcess(run, explain)
    process.start({"do": "blas"})
    process.poll(30)
    print(process.pid, flush=True)
    time.sleep(60)
"""


def test_it_does_not_outlive_a_parent_that_was_killed(tmp_path: Any) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        until = time.monotonic() + 20
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.05)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_goes_on_where_the_one_before_it_stood(process: TaskProcess) -> None:
    task = {"do": "count", "to": 6, "die_at": 4}
    process.start(task)
    assert process.poll(30) == Progress({"began": "count"})
    assert [process.poll(30) for _ in range(4)] == [Checkpoint(bytes(n)) for n in (1, 2, 3, 4)]
    with pytest.raises(ProcessLost):
        process.poll(30)
    process.restart()
    process.start(task, bytes(4))
    assert [process.poll(30) for _ in range(4)] == [
        Progress({"began": "count"}),
        Checkpoint(bytes(5)),
        Checkpoint(bytes(6)),
        Done({"from": 4}, b""),
    ]
