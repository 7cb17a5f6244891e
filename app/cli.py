"""The command line: `mixtura serve | worker | fit | predict | doctor | backup | restore | db`.

Each command imports what it needs when it runs, so that help and the client's commands start quickly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from app import cli_storage as storage_commands

if TYPE_CHECKING:
    from app.client import Client, Progress, Version

__all__ = ["app", "main"]

app = typer.Typer(
    name="mixtura",
    help="Mixture models and k-means as a service.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Url = Annotated[str, typer.Option(help="Where the service answers.", envvar="MIXTURA_URL")]
ApiKey = Annotated[str | None, typer.Option(help="The key of a service that is not open.", envvar="MIXTURA_API_KEY")]
LOCAL = "http://127.0.0.1:8000"


class ServeCommand(TyperCommand):
    """A command whose help ends with the table of the service's settings."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        _print_settings()


def _print_settings() -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from app.settings import Settings

    console = Console()
    console.print(" Settings, from the environment, each with its default:\n")
    for name, default, description in Settings.table():
        console.print(Text.assemble(" ", (name, "bold cyan"), "  ", (default, "dim")))
        console.print(Padding(Text(description.replace("`", "")), (0, 2, 1, 5)))


@app.callback(invoke_without_command=True)
def mixtura(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Mixture models and k-means as a service."""
    if version:
        typer.echo(f"mixtura {installed_version('mixtura')}")
        raise typer.Exit


@app.command(
    cls=ServeCommand,
    epilog="""Examples:

- `mixtura serve`
- `mixtura serve --port 9000 --data-dir /var/lib/mixtura --workers 4`
- `MIXTURA_ADMIN_KEY=$(openssl rand -hex 24) mixtura serve --host 0.0.0.0`
- `MIXTURA_DATABASE_URL=postgresql+psycopg://mixtura@db/mixtura mixtura serve --no-worker`
""",
)
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    data_dir: Annotated[
        Path | None, typer.Option(help="The directory of the embedded database and files: MIXTURA_DATA_DIR.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer requests.")] = 1,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Whether a worker runs beside the API.")] = True,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen on any host without a key: open to all who reach it.")
    ] = False,
) -> None:
    """Run the service: the API, and a worker for its fits.

    The API answers on http://127.0.0.1:8000, with its documentation under /docs. What it knows is kept in the
    data directory, which is made when it is not there. Without MIXTURA_ADMIN_KEY the service is open, and
    then it refuses to listen on any address but this machine's own. One fit runs at a time: more workers on
    the same database, `mixtura worker`, run more.
    """
    from app.serve import serve as run

    if data_dir is not None:
        os.environ["MIXTURA_DATA_DIR"] = str(data_dir)
    raise typer.Exit(run(host, port, data_dir, workers, worker, insecure))


@app.command(
    epilog="""Examples:

- `mixtura worker`
- `MIXTURA_DATABASE_URL=postgresql+psycopg://mixtura@db/mixtura mixtura worker --concurrency 4`
""",
)
def worker(
    concurrency: Annotated[int, typer.Option(min=1, help="How many fits run at once.")] = 1,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    worker_id: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one more worker on the service's database.

    It needs the same database and the same place for artifacts as the service: set the same
    MIXTURA_DATABASE_URL and MIXTURA_ARTIFACTS_URL, or the same MIXTURA_DATA_DIR. Stopped in good order
    (Ctrl-C, SIGTERM) it hands its fits back; when it is killed they are taken over as its lease runs out.
    The other settings are in `mixtura serve --help`.
    """
    from app.worker.entry import run_worker

    raise typer.Exit(run_worker(concurrency, supervised, worker_id))


@app.command(
    epilog="""Examples:

- `mixtura fit examples/old_faithful.csv --model old-faithful --n-components 2`
- `mixtura fit data.csv --model shapes --n-components 5 --covariance-type diag --n-init 10 --alias champion`
- `mixtura fit data.csv --model groups --n-clusters 8 --random-state 0`
""",
)
def fit(
    data: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A CSV file; its first line names the features."),
    ],
    model: Annotated[str, typer.Option(help="The model that gets a new version; made when it is new.")],
    n_components: Annotated[int | None, typer.Option(help="Components of a mixture.")] = None,
    n_clusters: Annotated[int | None, typer.Option(help="Clusters of k-means, which it selects.")] = None,
    covariance_type: Annotated[
        str | None, typer.Option(help="Shape of a mixture's covariances: full, tied, diag or spherical.")
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="gaussian_mixture, or kmeans where --n-clusters is given.")
    ] = None,
    n_init: Annotated[int | None, typer.Option(help="Restarts, of which the best is kept.")] = None,
    random_state: Annotated[int | None, typer.Option(help="Seed; the same one gives the same model.")] = None,
    alias: Annotated[str | None, typer.Option(help="An alias to point at the new version.")] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Fit a model to a CSV file, and watch it.

    The file is uploaded as a dataset (the same bytes are kept once), the service fits the model, and the
    result is registered as the model's next version. Ctrl-C cancels the fit.
    """
    if (n_components is None) == (n_clusters is None):
        raise typer.BadParameter("say one of --n-components (a mixture) and --n-clusters (k-means)")
    params = {
        "n_components": n_components,
        "n_clusters": n_clusters,
        "covariance_type": covariance_type,
        "n_init": n_init,
        "random_state": random_state,
    }
    with _client(url, api_key) as client:
        dataset = client.upload(data)
        job = client.fit(
            model,
            dataset=dataset,
            algorithm=algorithm or ("gaussian_mixture" if n_clusters is None else "kmeans"),
            params={name: value for name, value in params.items() if value is not None},
            alias=alias,
        )
        with _progress(f"{model}: {dataset.n_rows} rows") as show:
            try:
                fitted = job.wait(on_progress=show)
            except KeyboardInterrupt:
                job.cancel()
                typer.echo(f"cancelled job {job.id}", err=True)
                raise typer.Exit(130) from None
    _print_version(fitted)


@app.command(
    epilog="""Examples:

- `mixtura predict old-faithful examples/old_faithful.csv`
- `mixtura predict old-faithful data.csv --proba --output probabilities.csv`
- `mixtura predict old-faithful data.csv --version champion`
""",
)
def predict(
    name: Annotated[str, typer.Argument(help="The model.")],
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file with the model's features.")],
    output: Annotated[Path | None, typer.Option(help="The CSV file to write; else standard output.")] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Write each component's probability, not the label.")] = False,
    version: Annotated[
        str | None, typer.Option(help="A number, an alias or latest; else the alias default, or the latest.")
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Label the rows of a CSV file with a model.

    Writes one line a row, under a header: the label of the component or cluster, or with --proba the
    probability of each component.
    """
    with _client(url, api_key) as client:
        model = client.model(name, version)
        if proba:
            rows = model.predict_proba(data).probabilities.tolist()
        else:
            rows = model.predict(data).labels.reshape(-1, 1).tolist()
    header = [f"p{k}" for k in range(len(rows[0]))] if proba else ["label"]
    lines = [",".join(header), *(",".join(map(repr, row)) for row in rows)]
    text = "\n".join(lines) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text)
    except OSError as exc:
        typer.echo(f"mixtura: {output}: {exc.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{output}: {len(rows)} rows", err=True)


@contextmanager
def _client(url: str, api_key: str | None) -> Iterator[Client]:
    """A client whose errors end the command: a sentence on stderr, with pointers, and exit code 1."""
    from app.client import Client, ConnectionFailed, MixturaError

    try:
        with Client(url, api_key=api_key, retries=2) as client:
            yield client
    except ConnectionFailed as exc:
        typer.echo(f"mixtura: {exc}\nIs the service there? `mixtura serve` starts one here.", err=True)
        raise typer.Exit(1) from None
    except (MixturaError, ValueError, OSError) as exc:
        typer.echo(f"mixtura: {exc}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A progress bar on stderr; gives the function that is told of each report."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0, at="queued")

        def show(progress: Any) -> None:
            bar.update(task, completed=progress.fraction or 0.0, at=describe(progress))

        yield show
        bar.update(task, completed=1.0)


def describe(progress: Progress) -> str:
    """A report in words: the restart, the iteration, and the objective (a mixture's is a mean over the rows)."""
    parts = []
    if progress.init is not None:
        parts.append(f"start {progress.init}/{progress.n_init}")
    if progress.iteration is not None:
        parts.append(f"iteration {progress.iteration}")
    if progress.lower_bound is not None:
        parts.append(f"log-likelihood {progress.lower_bound:.6f}")
    if progress.inertia is not None:
        parts.append(f"inertia {progress.inertia:.6g}")
    return ", ".join(parts) or progress.phase or ""


def _print_version(fitted: Version) -> None:
    shown = ("log_likelihood", "mean_log_likelihood", "aic", "bic", "inertia", "n_iter", "converged")
    typer.echo(f"{fitted.model} version {fitted.version}")
    for name in shown:
        if fitted.metrics.get(name) is not None:
            value = fitted.metrics[name]
            typer.echo(f"  {name:20}{value:.6g}" if isinstance(value, float) else f"  {name:20}{value}")


storage_commands.install(app)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
