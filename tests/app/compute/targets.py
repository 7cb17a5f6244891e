"""Tasks for the tests of the process that runs tasks: importable by the child."""

import ctypes
import os
import time
from collections.abc import Generator
from typing import Any

import numpy as np

Document = dict[str, Any]


def run(task: Document, checkpoint: bytes) -> Generator[Document | bytes, None, tuple[Document, bytes]]:
    yield {"began": task["do"]}
    match task["do"]:
        case "echo":
            return {"pid": os.getpid(), "value": task["value"], "nan": float("nan")}, b"\x00\xff" * task["size"]
        case "count":
            for number in range(len(checkpoint), task["to"]):
                yield bytes(number + 1)
                if number + 1 == task["die_at"]:
                    os._exit(9)
            return {"from": len(checkpoint)}, b""
        case "raise":
            raise ValueError("as told")
        case "die":
            os._exit(9)
        case "segfault":
            ctypes.string_at(0)
        case "blas":
            matrix = np.ones((3000, 3000))
            while True:
                matrix = matrix @ matrix / 3000
        case "memory":
            return {"sum": float(np.ones(task["bytes"] // 8).sum())}, b""
        case "sleep":
            time.sleep(60)
    raise AssertionError(task)


def explain(error: BaseException) -> Document:
    return {"error": type(error).__name__, "detail": str(error)}
