import numpy as np
import pytest

from app.services import checkpoint
from core import GaussianMixture, KMeans, MiniBatchKMeans

X = np.random.default_rng(0).normal(size=(400, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianMixture(4, n_init=3, tol=0, max_iter=15, random_state=1),
        lambda: KMeans(5, n_init=3, random_state=1),
        lambda: MiniBatchKMeans(5, batch_size=50, max_iter=3, random_state=1),
    ],
)
def test_from_any_iteration_a_fit_goes_on_to_the_same_bits(make: object) -> None:
    whole = make()  # type: ignore[operator]
    kept = [checkpoint.to_bytes(whole.state_) for _ in whole.fit_steps(X)]
    for content in kept[:: max(1, len(kept) // 6)] + kept[-1:]:
        resumed = make()  # type: ignore[operator]
        state = checkpoint.from_bytes(content)
        assert state is not None
        for _ in resumed.fit_steps(X, state=state):
            pass
        for name, value in vars(whole).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(getattr(resumed, name), value), name


def test_what_another_release_made_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = KMeans(2, random_state=0)
    next(fit.fit_steps(X))
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "MADE_BY", "mixtura 0.0.9, numpy 1.0")
        content = checkpoint.to_bytes(fit.state_)
        assert checkpoint.from_bytes(content) is not None
    assert checkpoint.from_bytes(content) is None
