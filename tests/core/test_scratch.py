import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.scratch import Pool, Scratch


def test_memory_is_kept_by_name_and_grows():
    scratch = Scratch()
    first = scratch.array("a", (3, 4), np.float32)
    first[:] = 7
    assert scratch.array("a", (3, 4), np.float32) is first
    assert scratch.array("a", (2,), np.float64).base is first.base
    assert not np.shares_memory(scratch.array("b", (3, 4), np.float32), first)
    larger = scratch.array("a", (100,), np.float64)
    larger[:] = 1
    assert (first == 7).all()
    assert np.shares_memory(scratch.array("a", (3, 4), np.float32), larger)


def test_many_shapes_are_not_remembered_for_ever():
    scratch = Scratch()
    for size in range(1_000):
        assert scratch.array("a", (size,), np.uint8).shape == (size,)
    assert len(scratch._views) < 100


def test_nobody_else_has_what_is_borrowed():
    scratches = Pool[Scratch]()

    def task(number):
        with scratches.borrowed(Scratch) as scratch:
            mine = scratch.array("a", (1_000,), np.int64)
            mine[:] = number
            return sum(int((mine == number).all()) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(task, range(50))) == {200}
    assert 1 <= len(scratches) <= 4


def test_an_error_gives_back_what_was_borrowed():
    scratches = Pool[Scratch]()
    try:
        with scratches.borrowed(Scratch):
            raise ValueError
    except ValueError:
        assert len(scratches) == 1


def test_sent_elsewhere_no_memory_goes_along():
    scratches = Pool[Scratch]()
    with scratches.borrowed(Scratch) as scratch:
        scratch.array("a", (10_000,), np.float64)
    assert len(pickle.dumps(scratches)) < 200
    assert len(pickle.loads(pickle.dumps(scratches))) == 0
