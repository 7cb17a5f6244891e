import itertools
import re
from pathlib import Path

import pytest

from app.domain.jobs import ENDED, TRANSITIONS, Event, IllegalTransition, Status, next_status

MOVES = {
    ("queued", "claim"): "running",
    ("queued", "cancel"): "cancelled",
    ("running", "reclaim"): "running",
    ("running", "hand-back"): "queued",
    ("running", "retry"): "queued",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
}


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_every_pair_moves_or_is_refused_by_name(status: Status, event: Event) -> None:
    expected = MOVES.get((status, event))
    if expected is not None:
        assert next_status(status, event) == expected
        return
    with pytest.raises(IllegalTransition, match=f"a job that is {status} cannot {event}"):
        next_status(status, event)


def test_nothing_leaves_an_end() -> None:
    assert not {status for status, _ in TRANSITIONS} & ENDED


def test_every_end_can_be_reached_from_the_queue() -> None:
    reached = {Status.QUEUED}
    for _ in Status:
        reached |= {to for (start, _), to in TRANSITIONS.items() if start in reached}
    assert reached == set(Status)


def test_the_drawing_in_the_docs_is_the_table() -> None:
    text = (Path(__file__).parents[3] / "docs" / "jobs.md").read_text()
    drawn = re.findall(r"^ +(\w+) --> (\w+) : ([\w-]+)", text, flags=re.MULTILINE)
    assert sorted(drawn) == sorted((start, to, event) for (start, event), to in TRANSITIONS.items())
