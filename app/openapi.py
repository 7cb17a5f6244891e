"""`python -m app.openapi`: writes docs/openapi.json."""

import sys
from pathlib import Path

import orjson

from app.main import create_app
from app.settings import Settings


def document() -> bytes:
    """The OpenAPI document of a service without a key, as it is committed."""
    app = create_app(Settings(admin_key=None))
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/openapi.json").write_bytes(document())
