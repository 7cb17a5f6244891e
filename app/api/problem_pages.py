"""`/problems/<slug>`: what each problem type means, and what to do about it."""

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from app.domain.errors import NotFound

router = APIRouter(include_in_schema=False)

# For each type: what happened, and what to do.
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "invalid-request": (
        "The body could not be read (400), or something in the request may not be so (422).",
        "`errors` points at each fault with a JSON pointer; change what it names and send the request again.",
    ),
    "unauthorized": (
        "The service has a key and the request did not bring it.",
        "Send `Authorization: Bearer <key>`; in a browser, the key is the password and the name does not matter.",
    ),
    "not-found": ("There is nothing at this path.", "Compare the path with the list under /docs."),
    "model-not-found": ("No model has this name.", "GET /v1/models lists those that there are."),
    "version-not-found": (
        "The model has no such version, or none yet.",
        "GET /v1/models/{name}/versions lists them; a fit that succeeds adds the next one.",
    ),
    "alias-not-found": ("The model has no such alias.", "GET /v1/models/{name} shows its aliases."),
    "dataset-not-found": ("No dataset has this id or name.", "GET /v1/datasets lists those that there are."),
    "job-not-found": ("No job has this id.", "GET /v1/jobs lists those that there are."),
    "method-not-allowed": ("The path does not offer this method.", "`Allow` in the answer lists the ones it offers."),
    "not-acceptable": ("No media type of `Accept` is spoken here.", "`detail` names those that are."),
    "conflict": ("The thing is not in a state that allows this.", "`detail` says which state it is in."),
    "dataset-in-use": ("A job that has not ended needs the dataset.", "Wait for the job's end, or cancel it."),
    "version-in-use": ("An alias points at what would be deleted.", "Move or delete the alias first."),
    "precondition-failed": (
        "It has changed since the ETag of `If-Match` was given.",
        "Read it again, decide again, and send the new ETag.",
    ),
    "payload-too-large": (
        "The body is larger than MIXTURA_MAX_BODY_BYTES.",
        "Send fewer rows at a time, or ask whoever runs the service to raise the limit.",
    ),
    "unsupported-media-type": ("The body's media type is not spoken here.", "`detail` names those that are."),
    "unsupported-operation": ("The model's algorithm has no such verb or option.", "Fit an algorithm that has it."),
    "feature-mismatch": (
        "The rows' features are not those that the model was fitted on.",
        "The version's `feature_names` are the names it knows, in its order.",
    ),
    "idempotency-key-reused": (
        "The Idempotency-Key came with another request within the last 24 hours.",
        "Use a new key for a new request; the same key only to send the same one again.",
    ),
    "queue-full": ("As many jobs wait as may wait.", "Try again after the seconds of `Retry-After`."),
    "not-ready": (
        "Something that the service stands on does not answer.",
        "Try again after the seconds of `Retry-After`; /readyz names what is away.",
    ),
    "artifact-corrupt": (
        "A stored file is gone, or no longer what was stored.",
        "Other versions are not touched. Restore the file from a backup, or fit again.",
    ),
    "internal": (
        "Something failed on our side.",
        "The service's log holds the reason under the `request_id` of the answer.",
    ),
    "collapsed-component": (
        "In a fit, a component shrank onto too few rows, or onto a feature that does not vary.",
        "Raise `reg_covar`, ask for fewer components, or leave the constant feature out.",
    ),
    "diverged": (
        "In a fit, a number left the range of floating point.",
        "Scale the rows: `preprocess.scale` may be `standard`.",
    ),
    "timeout": ("The job ran longer than it may.", "Raise `timeout_s`, or ask for less: fewer restarts, fewer rows."),
    "out-of-memory": ("The fit needed more memory than it may have.", "Use fewer rows, components or features."),
    "worker-lost": (
        "The process that ran the job was lost as often as is tried.",
        "Look into the service's log and the machine's memory, then send the fit again.",
    ),
}


@router.get("/problems/{slug}", response_class=HTMLResponse)
def explain_problem(slug: str) -> HTMLResponse:
    """A page for people."""
    if slug not in EXPLANATIONS:
        raise NotFound(f"There is no problem type {slug!r}.")
    happened, remedy = EXPLANATIONS[slug]
    title = escape(slug)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><main><h1>{title}</h1><h2>What happened</h2><p>{_text(happened)}</p>"
        f"<h2>What to do</h2><p>{_text(remedy)}</p></main></body></html>"
    )


def _text(sentence: str) -> str:
    """The sentence as HTML, what stands between backticks as code."""
    parts = escape(sentence).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
