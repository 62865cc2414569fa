"""PyTorch modules that move elements as ports do, and Darknet's networks with another reorg. Not a test itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import layoutbridge as lb

NETS = Path(__file__).resolve().parent.parent / "fixtures" / "nets"


class Written(nn.Module):
    """A reorg [n, c, h, w] with stride s as `function` of x and s writes it."""

    def __init__(self, function, s=2):
        super().__init__()
        self.function, self.s = function, s

    def forward(self, x):
        return self.function(x, self.s)


# How a reorg at a stride is written by those who got it wrong.
def space_to_depth(x, s):
    n, c, h, w = x.shape
    x = x.view(n, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4).contiguous()
    return x.view(n, c * s * s, h // s, w // s)


def pixel_unshuffle(x, s):
    return functional.pixel_unshuffle(x, s)


def marvis(x, s):
    """As a well-known port of YOLOv2 has it, in three views and transposes."""
    n, c, h, w = x.shape
    x = x.view(n, c, h // s, s, w // s, s).transpose(3, 4).contiguous()
    x = x.view(n, c, h // s * (w // s), s * s).transpose(2, 3).contiguous()
    x = x.view(n, c, s * s, h // s, w // s).transpose(1, 2).contiguous()
    return x.view(n, s * s * c, h // s, w // s)


def focus(x, s):
    return torch.cat([x[..., row::s, column::s] for column in range(s) for row in range(s)], 1)


def a_view(x, s):
    n, c, h, w = x.shape
    return x.reshape(n, c * s * s, h // s, w // s)


def by_unfold(x, s):
    n, c, h, w = x.shape
    return functional.unfold(x, s, stride=s).view(n, c * s * s, h // s, w // s)


WRONG = [space_to_depth, pixel_unshuffle, marvis, focus, a_view, by_unfold]


def port_of(folder, written, flavor="alexey"):
    """Darknet's network as a module, its reorg `written` wrongly, where; the right one; Darknet's input and output."""
    net = lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=flavor)
    right, port = net.to_torch(head="darknet").eval(), net.to_torch(head="darknet").eval()
    (layer,) = [each for each in net.network.layers if each.kind.startswith("reorg")]
    own = type(lb.emit(lb.op("darknet_reorg"), "torch"))
    (name,) = [
        name for name, part in port.named_modules() if isinstance(part, own) and name.startswith(f"{layer.index}_reorg")
    ]
    holder, _, last = name.rpartition(".")
    setattr(port.get_submodule(holder), last, Written(written, layer.settings.stride))
    outputs = np.load(folder / "outputs.npz")
    last_layer = max(each for each in outputs.files if each.startswith("layer"))
    return port, name, right, torch.from_numpy(outputs["input"][None]), outputs[last_layer]


def exported(module, x, *open_axes, names="nchw", strict=False):
    """The program of a module for inputs like `x`, of which these axes have any even length."""
    dims = {}
    for axis in open_axes:
        dim = torch.export.Dim(f"half_{names[axis]}" if axis else "batch", min=1 if axis else None)
        dims[axis] = 2 * dim if axis else dim
    return torch.export.export(module.eval(), (x,), dynamic_shapes=(dims,) if dims else None, strict=strict)


class Net(nn.Module):
    """Of a function of x."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)
