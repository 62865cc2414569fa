"""Evaluation mode for a while: every part keeps its own mode, whichever threads took part."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event, Thread

import numpy as np
import pytest

import layoutbridge as lb

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch
from torch import nn

from layoutbridge.frameworks.torch import evaluation
from layoutbridge.frameworks.torch.evaluation import in_evaluation


def modes(module):
    return [part.training for part in module.modules()]


def mixed():
    """A module whose parts are in different modes; one part is there twice."""
    shared = nn.BatchNorm2d(3)
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(shared, nn.Dropout()), shared, nn.Dropout())
    module[1][1].eval()
    return module


def hooked():
    """The same with a hook, which may know the original: it has no twin."""
    module = mixed()
    module.register_forward_hook(lambda *_: None)
    return module


def held(module):
    """Its parameters and buffers, copied."""
    return {name: value.clone() for name, value in module.state_dict().items()}


# ---------------------------------------------------------------------- twins


class Everything(nn.Module):
    """Parts of all kinds, plain attributes of many, a part that is there twice and one that is not there."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Dropout(0.5), self.norm), nn.Conv2d(3, 3, 1)])
        self.by_name = nn.ModuleDict({"act": nn.PReLU(), "gone": nn.Identity()})
        self.nothing = None
        self.register_module("empty", None)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("shift", torch.tensor(0.5))
        self.axes, self.table, self.act = (0, 1, 2, 3), np.arange(3), nn.functional.leaky_relu
        self.shared = [torch.tensor(1.0), {"eps": 1e-5, "dtype": torch.float32}]

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        self.shift = self.shift + 1.0  # an attribute of what is called, not of the original
        return self.act(self.by_name["act"](x)).permute(self.axes) * self.scale + self.shift


def test_a_twin_computes_the_same_shares_the_parameters_and_leaves_the_original_alone():
    module, x = Everything(), torch.rand(2, 3, 4, 4)
    before, modes_before = held(module), modes(module)
    with in_evaluation(module) as twin, torch.no_grad():
        assert twin is not module
        assert type(twin) is Everything
        assert not any(modes(twin))
        assert modes(module) == modes_before
        assert twin.blocks[0][1] is twin.norm
        assert twin.norm is not module.norm
        assert {id(each) for each in twin.parameters()} == {id(each) for each in module.parameters()}
        result = twin(x)
        assert modes(module) == modes_before
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert list(module.state_dict()) == list(before)
    module.eval()
    assert torch.equal(result, module(x))


def test_a_module_in_evaluation_mode_is_called_itself():
    module = mixed().eval()
    with in_evaluation(module) as called:
        assert called is module


class Rebound(nn.Module):
    """Keeps something that calls the original, in one of many ways."""

    def __init__(self, how):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout()
        self.kept = {
            "a bound method": self.inner,
            "a closure": lambda x: self.inner(x),
            "in a list": [[self.inner]],
            "in a dictionary": {"inner": (self.inner,)},
            "as a default": (lambda x, inner=self.inner: inner(x)),
            "a partial": partial(type(self).inner, self),
            "a module in a list": [self.norm],
            "an array of objects": np.array([self.norm, None], object),
            "an object": type("Holder", (), {"norm": self.norm})(),
        }[how]
        self.how = how

    def inner(self, x):
        return self.drop(self.norm(x))

    def forward(self, x):
        kept = self.kept
        while isinstance(kept, list | tuple | dict | np.ndarray):
            kept = next(iter(kept.values())) if isinstance(kept, dict) else kept[0]
        return getattr(kept, "norm", kept)(x)


@pytest.mark.parametrize(
    "how",
    ["a bound method", "a closure", "in a list", "in a dictionary", "as a default", "a partial", "a module in a list",
     "an array of objects", "an object"],
)  # fmt: skip
def test_what_may_call_the_original_is_switched_itself(how):
    module, x = Rebound(how), torch.rand(2, 3, 4, 4)
    before = held(module)
    with in_evaluation(module) as called, torch.no_grad():
        assert called is module
        result = called(x)
    assert all(modes(module))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    module.eval()
    assert torch.equal(result, module(x))


class WithSlots(nn.Module):
    __slots__ = ("stride",)

    def __init__(self):
        super().__init__()
        self.stride = 2

    def forward(self, x):
        return nn.functional.pixel_unshuffle(x, self.stride)


@pytest.mark.parametrize(
    "make",
    [
        hooked,
        WithSlots,
        lambda: nn.LSTM(2, 2),
        lambda: nn.LazyConv2d(3, 1),
        lambda: nn.utils.spectral_norm(nn.Linear(2, 2)),
        lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Dropout())),
        lambda: torch.jit.script(nn.Dropout()),
    ],
)
def test_what_has_no_twin_is_switched_itself(make):
    module = make()
    with in_evaluation(module) as called:
        assert called is module
        assert not any(modes(module))
    assert all(modes(module)) or make is hooked


# ---------------------------------------------------------------------- identify


class Noisy(nn.Module):
    """A pixel unshuffle between parts that disturb it in training mode."""

    def __init__(self, hook=False, fails=False):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(4, eps=0.0), nn.Sequential(nn.Dropout(0.9), nn.Dropout2d(0.9))
        self.drop[1].eval()
        self.fails = fails
        if hook:
            self.drop.register_forward_pre_hook(lambda part, given: None)

    def forward(self, x):
        if self.fails:
            raise RuntimeError("it fails")
        return nn.functional.pixel_unshuffle(self.drop(self.norm(x)), 2)


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_threads_identify_a_shared_module_in_training_mode(hook, fails):
    module, start = Noisy(hook, fails), Barrier(8)
    before, modes_before = held(module), modes(module)
    assert len(set(modes_before)) == 2
    gradients = [parameter.requires_grad for parameter in module.parameters()]

    def work(_):
        start.wait()
        for _ in range(3):
            try:
                found = lb.identify(module, (1, 4, 8, 8)).names
            except lb.LayoutBridgeError as error:
                found = str(error)
            kept.append(modes(module) == modes_before)
        return found

    kept = []
    with ThreadPoolExecutor(8) as pool:
        (found,) = {str(one) for one in pool.map(work, range(8))}
    assert "it fails" in found if fails else "pixel_unshuffle" in found
    assert modes(module) == modes_before
    if not hook:
        assert all(kept)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [parameter.requires_grad for parameter in module.parameters()] == gradients
    assert torch.is_grad_enabled()


def test_code_that_trains_meanwhile_sees_its_own_mode():
    module, stop, seen = Noisy(), Event(), set()

    def train():
        while not stop.is_set():
            seen.update(modes(module)[:2])

    thread = Thread(target=train)
    thread.start()
    for _ in range(5):
        assert lb.identify(module, (1, 4, 8, 8)).is_permutation
    stop.set()
    thread.join()
    assert seen == {True}


# ---------------------------------------------------------------------- modules that are switched themselves


def test_each_part_has_its_own_mode_back_also_after_an_error():
    module = hooked()
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
    module = hooked()
    module[1].register_forward_hook(lambda *_: None)
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
    module, first_may_leave, first_left = hooked(), Event(), Event()
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
    module, start = hooked(), Barrier(8)
    module[1].register_forward_hook(lambda *_: None)
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
    with in_evaluation(module) as called:
        assert not any(modes(called))
        x = torch.ones(1, 3, 4, 4)
        assert torch.equal(called(x), called(x))
    assert all(modes(module))
