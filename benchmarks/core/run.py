"""All groups in their order, a line at a time."""

__all__ = ["main"]

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.core import agreement, bayesian, calls, em, growth, lloyd, memory, whole
from benchmarks.core.cases import Case, Line, measured
from benchmarks.core.report import as_json, heading, row
from benchmarks.core.settings import THREADS, Settings

GROUPS = (agreement, em, bayesian, lloyd, whole, calls, memory, growth)


def main() -> None:
    """Measures, prints, and exits with 1 when a line failed or its answers differed; a missed goal is no failure."""
    parser = argparse.ArgumentParser(prog="benchmarks.core", description="The numerical core beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run, do the answers agree")
    parser.add_argument("--only", default="", help="lines whose group, name or peer holds this")
    parser.add_argument("--json", type=Path, help="write the lines to this file too")
    parser.add_argument("--plots", type=Path, default=Path(__file__).parents[1] / "out", help="where figures go")
    arguments = parser.parse_args()
    settings = Settings(arguments.quick, arguments.plots)
    began = time.perf_counter()
    lines: list[Line] = []
    with threadpool_limits(THREADS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fits of a few iterations do not converge
        for case in chosen(settings, arguments.only):
            if not lines or lines[-1].case.group != case.group:
                print(heading(case.group))
            lines.append(measured(case))
            print(row(lines[-1]), flush=True)
    seconds = time.perf_counter() - began
    goals = [line.met for line in lines if line.met is not None]
    print(f"\n{len(lines)} lines in {seconds:.0f} s; of {len(goals)} goals {sum(goals)} are met.")
    if settings.quick:
        print("Of small sizes only: the answers agree, or do not; the times say nothing.")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(lines, settings.quick, seconds), indent=2) + "\n")
    sys.exit(any(line.failed for line in lines))


def chosen(settings: Settings, only: str) -> Iterator[Case]:
    """The cases of all groups whose words hold `only`."""
    for group in GROUPS:
        for case in group.cases(settings):
            if only in f"{case.group}, {case.name}, {case.peer}":
                yield case
