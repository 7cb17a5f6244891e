"""`Prefer: wait=N` (RFC 7240): holding an answer until a job has ended."""

import asyncio
import re
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from app.domain.jobs import Job

LONGEST_S = 60
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


def wait_seconds(prefer: str | None) -> int | None:
    """The seconds that `Prefer` asks for, at most `LONGEST_S`; None when it asks for none."""
    match = _WAIT.search(prefer or "")
    return min(int(match.group(1)), LONGEST_S) if match else None


async def wait_for_end(job: Job, seconds: int, look: Callable[[str], Job], stopping: Callable[[], bool]) -> Job:
    """The job once it has ended, or as it stands after `seconds` or when the service stops."""
    until = time.monotonic() + seconds
    pause = 0.005
    while not job.ended and not stopping() and (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.25)
        job = await run_in_threadpool(look, job.id)
    return job
