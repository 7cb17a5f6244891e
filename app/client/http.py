"""One connection to the service: retries, error mapping, pages and streams."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

import httpx

from app.client.errors import ConnectionFailed, problem_error
from app.client.rows import Body

__all__ = ["Http", "backoff"]

Params = Mapping[str, Any]
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LONGEST_PAUSE_S = 30.0

# What may pass when tried again. An answer that is late is not among them: asking twice makes it later.
PASSING = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: 0.2, 0.4, 0.8 … at most 5, a quarter of it random."""
    return float(min(0.2 * 2.0**attempt, 5.0) * random.uniform(0.75, 1.0))


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that a 429 or 503 asks us to wait, or None when it does not invite another attempt."""
    value = response.headers.get("Retry-After")
    if value is None or response.status_code not in (429, 503):
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_PAUSE_S)


class Http:
    """Requests with retries. Every request may be repeated: what creates carries an `Idempotency-Key`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout: float,
        retries: int,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self.timeout = timeout
        self.retries = retries
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout,
            transport=transport,
            # A proxy named in the environment cannot reach this machine's loopback.
            mounts={f"all://{host}": None for host in LOOPBACK} if transport is None else None,
        )

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        creates: bool = False,
        patience: float = 0.0,
    ) -> httpx.Response:
        """Sends a request until it is answered; `patience` adds seconds to the time that an answer may take.

        Raises a ProblemError for an answer that is not a success, ConnectionFailed when none came.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = body.media_type
        if creates:
            sent["Idempotency-Key"] = str(uuid.uuid4())
        timeout = httpx.Timeout(self.timeout, read=self.timeout + patience)
        for attempt in itertools.count():
            try:
                with _open(body) as content:
                    response = self._client.request(
                        method, path, params=_given(params), content=content, headers=sent, timeout=timeout
                    )
            except PASSING as exc:
                if attempt >= self.retries:
                    raise self.unreachable(exc) from exc
                pause = backoff(attempt)
            except httpx.HTTPError as exc:
                raise self.unreachable(exc) from exc
            else:
                if response.is_success:
                    return response
                asked = retry_after(response)
                if asked is None or attempt >= self.retries:
                    raise problem_error(response)
                pause = asked
            time.sleep(pause)
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, **options: Any) -> Any:
        return self.send(method, path, **options).json()

    def pages(self, path: str, params: Params) -> Iterator[dict[str, Any]]:
        """Every item of a list, a page at a time."""
        cursor: str | None = None
        while True:
            page = self.json("GET", path, params={**params, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str], timeout: float | None = None) -> Iterator[httpx.Response]:
        """The answer to one GET, to be read as it comes. Not retried: its reader knows where to go on."""
        limits = httpx.Timeout(self.timeout, read=timeout or self.timeout)
        with self._client.stream("GET", path, headers=headers, timeout=limits) as response:
            if not response.is_success:
                response.read()
                raise problem_error(response)
            yield response

    def download(self, path: str) -> Iterator[bytes]:
        """The bytes of one GET, decoded, a chunk at a time."""
        try:
            with self.stream(path, {"Accept": "*/*"}) as response:
                yield from response.iter_bytes()
        except httpx.HTTPError as exc:
            raise self.unreachable(exc) from exc

    def unreachable(self, exc: httpx.HTTPError) -> ConnectionFailed:
        why = str(exc) or type(exc).__name__
        if isinstance(exc, httpx.ReadTimeout):
            why = f"no answer within {self.timeout:g} s"
        return ConnectionFailed(f"{self._client.base_url}: {why}")


def _open(body: Body | None) -> AbstractContextManager[bytes | BinaryIO | None]:
    return nullcontext() if body is None else body.open()


def _given(params: Params | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}
