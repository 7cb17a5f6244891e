"""The numerical core beside its peers: `python -m benchmarks.core`, told in docs/benchmarks.md."""
