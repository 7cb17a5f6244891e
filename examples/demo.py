"""Mixtura in one sitting: the eruptions of Old Faithful, from a CSV file to every verb of a served model.

Starts the service on a free port with a temporary data directory, fits a mixture while showing its progress, asks
the fitted model everything it can answer, checks the answers, and stops what it started. Exit code 0 means that
everything held. `make demo` runs it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from app.client import Client, ConnectionFailed, MixturaError, Model, Progress, Version

DATA = Path(__file__).with_name("old_faithful.csv")
START_S = 60.0


def main() -> int:
    # SIGTERM ends the demo as Ctrl-C does, so that the service is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("Mixtura demo: the eruptions of Old Faithful\n")
    try:
        with tempfile.TemporaryDirectory(prefix="mixtura-demo-") as directory, service(Path(directory)) as url:
            with Client(url) as client:
                version = fit(client)
                show_model(version)
                serve_every_verb(version.handle)
                finish(client, version)
            plot_density(url, version)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    except (Failed, MixturaError) as exc:
        print(f"\nThe demo failed: {exc}", file=sys.stderr)
        return 1
    print("\nEverything held. `make run` starts the service for you; the README goes on from there.")
    return 0


class Failed(Exception):
    """Something is not as it should be."""


def check(held: object, what: str) -> None:
    if not held:
        raise Failed(what)


def say(what: str, sentence: str) -> None:
    print(f"{what:14}{sentence}", flush=True)


@contextmanager
def service(directory: Path) -> Iterator[str]:
    """A service of our own, in a process group of its own: Ctrl-C reaches it through us only."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MIXTURA_")}
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--data-dir", str(directory / "data")]
    log = directory / "service.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=environment
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        say("service", f"{url}, up in {time.monotonic() - began:.1f} s")
        yield url
        check(process.poll() is None, "the service ended before the demo did")
    except (Failed, MixturaError):
        print(f"\nThe service's last words:\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        raise
    finally:
        stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    with Client(url, retries=0) as client:
        while True:
            check(process.poll() is None, f"the service did not start: exit code {process.returncode}")
            try:
                list(client.models())
            except ConnectionFailed:
                check(time.monotonic() < deadline, f"the service did not answer within {START_S:g} s")
                time.sleep(0.05)
            else:
                return


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def fit(client: Client) -> Version:
    """Uploads the data and fits two components to it, from 200 random starts, so that there is something to see."""
    dataset = client.upload(DATA, name="old-faithful")
    check(dataset.n_rows == 272, f"{DATA.name} has {dataset.n_rows} rows instead of 272")
    say("dataset", f"{DATA.name}: {dataset.n_rows} eruptions, features {', '.join(dataset.feature_names)}")
    for feature in client.dataset_summary(dataset.id).features:
        say("", f"{feature.name:12}{feature.min:g} to {feature.max:g}, mean {feature.mean:.2f}")
    job = client.fit(
        "old-faithful",
        dataset=dataset,
        params={
            "n_components": 2,
            "init_params": "random",
            "n_init": 200,
            "tol": 1e-12,
            "max_iter": 500,
            "random_state": 0,
        },
        anomaly={"contamination": 0.04},
        alias="champion",
        description="Short and long eruptions",
    )
    say("job", f"{job.id}, {job.status}: the service answers at once and fits on its own")
    show = ProgressLine()
    version = job.wait(timeout=300, on_progress=show)
    show.close()
    check(show.reports > 0, "the fit reported no progress")
    return version


class ProgressLine:
    """The progress of a fit: one line that changes on a terminal, a new line now and then elsewhere."""

    def __init__(self) -> None:
        self.reports = 0
        self._shown = 0.0
        self._live = sys.stdout.isatty()

    def __call__(self, progress: Progress) -> None:
        self.reports += 1
        if progress.iteration is None or (not self._live and time.monotonic() - self._shown < 0.35):
            return
        self._shown = time.monotonic()
        done = round(10 * (progress.fraction or 0))
        line = (
            f"{'fit':14}[{'█' * done}{'·' * (10 - done)}] start {progress.init}/{progress.n_init}, "
            f"iteration {progress.iteration}, log-likelihood {progress.lower_bound:.6f}"
        )
        print(f"\r{line:79}" if self._live else line, end="" if self._live else "\n", flush=True)

    def close(self) -> None:
        if self._live and self._shown:
            print()


def show_model(version: Version) -> None:
    metrics = version.metrics
    say("model", f"{version.model} version {version.version}, fitted to {version.n_samples} rows")
    say("", f"log-likelihood {metrics['log_likelihood']:.4f}, BIC {metrics['bic']:.2f}, converged")
    check(metrics["converged"], "the fit did not converge")
    check(abs(metrics["log_likelihood"] + 1130.2640) < 1e-3, "the log-likelihood is not the known maximum, -1130.264")
    found = version.handle.parameters()
    assert found.weights is not None
    assert found.means is not None
    check(abs(found.weights.sum() - 1) < 1e-9, "the weights do not sum to 1")
    say("", "weight  " + "".join(f"{name:>12}" for name in version.feature_names))
    for k in np.argsort(found.means[:, 0]):
        say("", f"{found.weights[k]:6.3f}  " + "".join(f"{mean:12.3f}" for mean in found.means[k]))


def serve_every_verb(model: Model) -> None:
    """Asks the model for everything that it can say, in lists, mappings, arrays and a CSV file."""
    data = np.loadtxt(DATA, delimiter=",", skiprows=1)
    print()

    short, long = model.predict([{"eruptions": 1.8, "waiting": 54}, {"waiting": 82, "eruptions": 4.5}]).labels
    check(short != long, "a short and a long eruption have the same label")
    say("predict", f"1.8 min is of component {short}, 4.5 min of component {long}")
    labels = model.predict(DATA).labels
    check(len(labels) == 272, "the CSV file was not labelled row by row")
    say("", f"the whole CSV file: {np.sum(labels == short)} short eruptions, {np.sum(labels == long)} long ones")

    proba = model.predict_proba([[3.0, 68], [1.8, 54]])
    check(np.allclose(proba.probabilities.sum(axis=1), 1), "probabilities do not sum to 1")
    check(proba.ambiguity[0] > proba.ambiguity[1], "a middling eruption is not the more ambiguous one")
    say("predict_proba", f"3.0 min after 68 min is long with {proba.probabilities[0, long]:.4f}")
    say("", f"its ambiguity is {proba.ambiguity[0]:.3f}; that of 1.8 min after 54 is {proba.ambiguity[1]:.1e}")

    density = model.density([[4.3, 80], [3.0, 95]])
    check(np.allclose(np.log(density.density), density.log_density), "density and log_density disagree")
    say("density", f"{density.density[0]:.2e} at the usual (4.3, 80), {density.density[1]:.2e} at (3.0, 95)")

    distances = model.transform(data[:1]).distances
    check(distances.shape == (1, 2), "there is not one distance a component")
    say("transform", f"the first eruption lies {distances.min():.2f} and {distances.max():.1f} Mahalanobis units away")

    anomalies = model.anomaly(data)
    check(anomalies.n_flagged == np.sum(anomalies.score > anomalies.threshold), "flags and scores disagree")
    check(8 <= anomalies.n_flagged <= 13, f"{anomalies.n_flagged} of 272 rows flagged at a contamination of 4 %")
    oddest = int(np.argmax(anomalies.score))
    say(
        "anomaly",
        f"{anomalies.n_flagged} of 272 flagged; the oddest: {data[oddest, 0]:g} min after {data[oddest, 1]:g}",
    )

    sample = model.sample(5000, random_state=0)
    check(np.allclose(sample.instances.mean(axis=0), data.mean(axis=0), rtol=0.05), "samples are not like the data")
    say(
        "sample",
        f"5000 new eruptions, mean {sample.instances[:, 0].mean():.2f} min; {data[:, 0].mean():.2f} in the data",
    )

    scores = model.evaluate(data, labels=np.where(data[:, 0] > 3, "long", "short"))
    assert scores.mean_log_likelihood is not None
    assert scores.adjusted_rand is not None
    check(abs(scores.mean_log_likelihood * 272 + 1130.2640) < 1e-3, "evaluate and the fit disagree")
    check(scores.adjusted_rand > 0.95, "the components are not the short and the long eruptions")
    say(
        "evaluate", f"silhouette {scores.silhouette:.3f}; agreement with 'longer than 3 min' {scores.adjusted_rand:.3f}"
    )


def finish(client: Client, version: Version) -> None:
    """What the registry and the queue remember."""
    print()
    pinned = client.model(version.model, "champion").version()
    check(pinned.version == version.version, "the alias does not point at the version")
    say("alias", f"champion points at version {pinned.version}")
    (job,) = client.jobs(model=version.model)
    check(job.status == "succeeded" and job.finished_at is not None, "the job is not remembered as succeeded")
    assert job.started_at is not None
    assert job.finished_at is not None
    say("job", f"{job.status} in {(job.finished_at - job.started_at).total_seconds():.1f} s")


def plot_density(url: str, version: Version) -> None:
    """Writes the density plot where the service offers plots."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        if not any("/plots/" in path for path in http.get("/openapi.json").json()["paths"]):
            return
        answer = http.get(f"/v1/models/{version.model}/versions/{version.version}/plots/density.svg")
        check(answer.status_code == 200, f"the density plot was answered with {answer.status_code}")
    target = Path("demo-output") / "density.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(answer.content)
    say("plot", str(target))


if __name__ == "__main__":
    sys.exit(main())
