"""Server-sent events of a job, followed over broken connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from app.client.errors import Unavailable, WaitTimeout
from app.client.http import Http, backoff

__all__ = ["ENDINGS", "Event", "follow", "parse"]

ENDINGS = frozenset({"succeeded", "failed", "cancelled"})
SILENCE_S = 60.0  # a connection that says nothing for so long is taken for a dead one


@dataclass(frozen=True)
class Event:
    """One event: `type` is `progress`, or how the job ended; `data` is its JSON."""

    id: str | None
    type: str
    data: Any

    @property
    def ends(self) -> bool:
        return self.type in ENDINGS


def parse(lines: Iterable[str]) -> Iterator[Event | None]:
    """Events out of the lines of a text/event-stream (WHATWG HTML, 9.2.6), None for each other line."""
    id_: str | None = None
    type_, data = "message", list[str]()
    for line in lines:
        event = None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                event = Event(id_, type_, json.loads("\n".join(data)))
            type_, data = "message", []
        elif name == "event":
            type_ = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            id_ = value
        yield event


def follow(http: Http, path: str, last: str | None = None, deadline: float | None = None) -> Iterator[Event]:
    """Events up to the closing one; after a broken connection it goes on behind the last event seen.

    `deadline` is a reading of time.monotonic(), after which WaitTimeout is raised. ConnectionFailed is raised
    when as many connections in a row as the client has retries brought no event.
    """
    failures = 0
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last is not None:
            headers["Last-Event-ID"] = last
        broken: httpx.TransportError | Unavailable = httpx.RemoteProtocolError("the stream of events broke off")
        try:
            with http.stream(path, headers, _silence(deadline)) as response:
                for event in parse(response.iter_lines()):
                    _silence(deadline)
                    if event is None:
                        continue
                    failures, last = 0, event.id or last
                    yield event
                    if event.ends:
                        return
        except (httpx.TransportError, Unavailable) as exc:
            broken = exc
        _silence(deadline)
        if failures >= http.retries:
            raise broken if isinstance(broken, Unavailable) else http.unreachable(broken)
        time.sleep(backoff(failures))
        failures += 1


def _silence(deadline: float | None) -> float:
    """How long to listen for the next line; raises WaitTimeout when the deadline has passed."""
    if deadline is None:
        return SILENCE_S
    left = deadline - time.monotonic()
    if left <= 0:
        raise WaitTimeout("the job had not ended in the time given")
    return min(left, SILENCE_S)
