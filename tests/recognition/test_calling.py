"""Calling what is to be identified: its own state is as before, from several threads too."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import UnusableInputError
from layoutbridge.recognition.targets.calling import as_array_function


def test_threads_identify_one_module_in_training_mode():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn
    norm = nn.BatchNorm2d(4, eps=0.0)  # in evaluation mode with fresh statistics it changes nothing
    module = nn.Sequential(nn.Dropout(), norm, nn.PixelUnshuffle(2), nn.Sequential(nn.Dropout2d(0.9), nn.Identity()))
    module[3][0].eval()
    before = [part.training for part in module.modules()]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    start = Barrier(8)

    def identify(_):
        start.wait()
        return {lb.identify(module, (1, 4, 6, 8)).names for _ in range(10)}

    with ThreadPoolExecutor(8) as pool:
        found = set().union(*pool.map(identify, range(8)))
    assert found == {("pixel_unshuffle", "space_to_depth_crd")}
    assert [part.training for part in module.modules()] == before
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.is_grad_enabled()


def test_a_module_that_fails_has_its_mode_back():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Failing(torch.nn.Module):
        def forward(self, x):
            raise SystemExit("not today\nnor tomorrow")

    module = torch.nn.Sequential(Failing(), torch.nn.Dropout())
    function, _ = as_array_function(module)
    with pytest.raises(UnusableInputError, match=r"^the callable raised SystemExit: not today$"):
        function(np.zeros((1, 2, 2, 2), np.float32))
    assert all(part.training for part in module.modules())
    assert torch.is_grad_enabled()
