"""What runs in the process of a fit: the tasks, and how their failures are told."""

import traceback
from collections.abc import Generator
from dataclasses import asdict
from typing import Any

from app.services.fitting import FitTask, failure_of, run_fit

Document = dict[str, Any]


def fit(task: Document, checkpoint: bytes) -> Generator[Document | bytes, None, tuple[Document, bytes]]:
    """A fit: its document without the file, and the file."""
    outcome = yield from run_fit(FitTask(**task), checkpoint)
    content: bytes = outcome.pop("artifact")
    return outcome, content


def explain(error: BaseException) -> Document:
    """The failure that an exception means, and where it came from, for our log alone."""
    return asdict(failure_of(error)) | {"trace": "".join(traceback.format_exception(error))}
