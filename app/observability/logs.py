"""Log lines on standard error: text for people, JSON for machines."""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson

FIELDS = ("request_id", "trace_id", "job_id", "method", "path", "status", "ms")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure_logging(form: Literal["text", "json"]) -> None:
    """Sets the root logger up, once where a process starts."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for quiet in ("alembic", "uvicorn.access", "httpx"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
