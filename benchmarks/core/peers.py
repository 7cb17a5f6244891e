"""Which peers there are on this machine."""

__all__ = ["installed", "versions"]

from importlib.metadata import PackageNotFoundError, version

PEERS = ("scikit-learn", "pomegranate", "torch", "faiss-cpu", "matplotlib")
BASIS = ("numpy", "scipy", "joblib", "threadpoolctl")


def installed(peer: str) -> bool:
    """Whether the distribution of this name is there."""
    try:
        version(peer)
    except PackageNotFoundError:
        return False
    return True


def versions() -> dict[str, str]:
    """Versions of the peers and of what both sides stand on."""
    return {name: version(name) if installed(name) else "not installed" for name in (*BASIS, *PEERS)}
