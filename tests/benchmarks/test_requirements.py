"""What both sides of the benchmarks stand on is what the tests run with."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(path: Path) -> dict[str, set[str]]:
    """Pinned versions, with their markers, by name; hashes and comments are left out."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        name, _, version = line.removesuffix("\\").partition("==")
        if line[:1].isalpha() and version:
            found.setdefault(name, set()).add(version.strip())
    return found


def test_versions_are_those_of_the_lock_file() -> None:
    locked, peers = pins(ROOT / "requirements.lock"), pins(ROOT / "benchmarks" / "requirements.txt")
    shared = {name: versions for name, versions in peers.items() if name in locked}
    assert set(shared) == {"joblib", "numpy", "scikit-learn", "scipy", "threadpoolctl"}
    assert shared == {name: locked[name] for name in shared}
