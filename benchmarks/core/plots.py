"""The curves of growth as a figure: a row a method, a column a dimension, both axes logarithmic."""

__all__ = ["draw"]

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.core.growth import Curve, exponent

COLOURS = {"ours": "#0b6e4f", "scikit-learn": "#c1440e"}
MARKERS = {"ours": "o", "scikit-learn": "s"}


def draw(curves: list[Curve], directory: Path) -> Path:
    """Writes growth.svg and growth.png; the path of the first."""
    methods, dimensions = (
        [*dict.fromkeys(names)] for names in zip(*((c.method, c.dimension) for c in curves), strict=True)
    )
    figure = Figure(figsize=(3.6 * len(dimensions), 3.0 * len(methods)), layout="constrained")
    axes = figure.subplots(len(methods), len(dimensions), squeeze=False, sharey="row")
    for curve in curves:
        place = methods.index(curve.method), dimensions.index(curve.dimension)
        panel(axes[place], curve)
    for row, method in zip(axes, methods, strict=True):
        row[0].set_ylabel(f"{method}\nms an iteration")
    directory.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        path = directory / f"growth.{suffix}"
        figure.savefig(path, dpi=120)
    return path


def panel(axes: Axes, curve: Curve) -> None:
    """Both sides' times, with their exponents in the legend."""
    for name, seconds in (("ours", curve.ours), ("scikit-learn", curve.theirs)):
        label = f"{name}: {curve.dimension}$^{{{exponent(curve.sizes, seconds):.2f}}}$"
        times = [1e3 * value for value in seconds]
        axes.plot(curve.sizes, times, color=COLOURS[name], marker=MARKERS[name], markersize=4, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(curve.sizes, [f"{size:_}".replace("_", " ") for size in curve.sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(curve.dimension)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
