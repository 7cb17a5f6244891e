"""The one place where a request is let in."""

import base64
import binascii
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import error_response
from app.domain.errors import Unauthorized

OPEN = frozenset({"/livez", "/readyz"})
# Pages are opened by typing an address, which can send no bearer token: there a browser may ask for the key
# and send it as a Basic password. They show nothing but the interface, and change nothing.
PAGES = ("/docs", "/redoc", "/openapi.json", "/static-offline-docs", "/problems/")


class Admission:
    """Lets a request pass when no key is set, when its path is open, or when it brings the key."""

    def __init__(self, app: ASGIApp, admin_key: str | None) -> None:
        self.app = app
        self._key = None if admin_key is None else admin_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._key is None or self._admits(scope):
            scope.setdefault("state", {})["caller"] = "anonymous" if self._key is None else "admin"
            await self.app(scope, receive, send)
            return
        page = _is_page(scope)
        challenge = 'Basic realm="mixtura", charset="UTF-8"' if page else 'Bearer realm="mixtura"'
        error = Unauthorized("This call needs `Authorization: Bearer <key>` with the key of this service.")
        await error_response(scope, error, {"WWW-Authenticate": challenge})(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if scope["path"] in OPEN:
            return True
        scheme, _, credentials = Headers(scope=scope).get("authorization", "").partition(" ")
        match scheme.lower():
            case "bearer":
                return self._is_key(credentials.strip().encode("latin-1"))
            case "basic" if _is_page(scope):
                return self._is_key(_password(credentials))
            case _:
                return False

    def _is_key(self, sent: bytes) -> bool:
        assert self._key is not None
        return hmac.compare_digest(sent, self._key)


def _is_page(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD") and scope["path"].startswith(PAGES)


def _password(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
