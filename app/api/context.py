"""Around every request: its id, its trace, one line of log, and an answer whatever happens."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import INTERNAL, NOWHERE, problem_response
from app.domain.ids import new_id

log = logging.getLogger("mixtura.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# W3C Trace Context, section 3.2: version, trace id, parent id, flags; all-zero ids are invalid.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")


class RequestContext:
    """Gives each request its id and trace, and turns what nobody caught into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # GET without the body, which the server leaves away
            scope = {**scope, "method": "GET"}
        began = time.perf_counter()
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(headers.get("x-request-id"))
        state["trace_id"], traceparent = _trace(headers.get("traceparent"))
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                outgoing = MutableHeaders(scope=message)
                outgoing["X-Request-Id"] = request_id
                outgoing["traceparent"] = traceparent
            await send(message)

        try:
            if "\0" in scope["path"]:  # no name has one, and no database takes it
                await problem_response(scope, NOWHERE, "No path has a NUL in it.")(scope, receive, answer)
                return
            await self.app(scope, receive, answer)
        except Exception:
            log.exception("request %s failed", request_id, extra={"request_id": request_id})
            if status:
                raise  # the answer has begun: all that is left is to break it off
            detail = f"The request failed on our side; it is logged under {request_id}."
            await problem_response(scope, INTERNAL, detail)(scope, receive, answer)
        finally:
            elapsed = round((time.perf_counter() - began) * 1e3, 2)
            facts = {"method": scope["method"], "path": scope["path"], "status": status, "ms": elapsed}
            extra = {**facts, "request_id": request_id, "trace_id": state["trace_id"]}
            log.info("%s %s %s %.1f ms", *facts.values(), extra=extra)


def _request_id(sent: str | None) -> str:
    return sent if sent is not None and _REQUEST_ID.fullmatch(sent) else new_id()


def _trace(sent: str | None) -> tuple[str, str]:
    """The trace that the request belongs to, a new one when it names none; and the header that says so."""
    match = _TRACEPARENT.fullmatch(sent or "")
    trace, flags = match.group(1, 2) if match else (secrets.token_hex(16), "00")
    return trace, f"00-{trace}-{secrets.token_hex(8)}-{flags}"
