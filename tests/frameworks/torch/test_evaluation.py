"""Evaluation mode for a while: every part has its own mode back, whichever threads took part."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest

from layoutbridge.frameworks.torch import evaluation
from layoutbridge.frameworks.torch.evaluation import in_evaluation

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def modes(module):
    return [part.training for part in module.modules()]


def mixed():
    """A module whose parts are in different modes; one part is there twice."""
    shared = nn.BatchNorm2d(3)
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(shared, nn.Dropout()), shared, nn.Dropout())
    module[1][1].eval()
    return module


def test_each_part_has_its_own_mode_back_also_after_an_error():
    module = mixed()
    before = modes(module)
    assert True in before
    assert False in before
    with in_evaluation(module):
        assert not any(modes(module))
    assert modes(module) == before
    with pytest.raises(KeyboardInterrupt), in_evaluation(module):
        raise KeyboardInterrupt
    assert modes(module) == before


def test_blocks_within_blocks_and_of_a_part():
    module = mixed()
    before = modes(module)
    with in_evaluation(module[1]):
        assert module.training
        with in_evaluation(module), in_evaluation(module):
            assert not any(modes(module))
        assert modes(module[1]) == [False] * 3
        assert module.training
        assert module[3].training
    assert modes(module) == before


def test_the_last_to_leave_gives_the_mode_back_in_any_order():
    module, first_may_leave, first_left = mixed(), Event(), Event()
    before, inside = modes(module), Barrier(2)

    def first():
        with in_evaluation(module):
            inside.wait()
            first_may_leave.wait()
        first_left.set()

    thread = Thread(target=first)
    thread.start()
    inside.wait()
    with in_evaluation(module):
        first_may_leave.set()
        first_left.wait()
        assert not any(modes(module))
    thread.join()
    assert modes(module) == before


def test_many_threads_and_nothing_is_kept():
    module, start = mixed(), Barrier(8)
    before = modes(module)

    def work(number):
        start.wait()
        for _ in range(300):
            with in_evaluation(module if number % 2 else module[1]):
                assert not any(modes(module[1]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert modes(module) == before
    assert not evaluation._blocks


def test_scripted_modules_too():
    module = torch.jit.script(nn.Sequential(nn.Dropout(), nn.Conv2d(3, 3, 1)))
    with in_evaluation(module):
        assert not any(modes(module))
        x = torch.ones(1, 3, 4, 4)
        assert torch.equal(module(x), module(x))
    assert all(modes(module))
