"""Darknet networks as somebody would write them in PyTorch, with the names of public ports. Not a test itself."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import layoutbridge as lb

ACTIVATIONS = {
    "leaky": lambda: nn.LeakyReLU(0.1), "mish": nn.Mish, "relu": nn.ReLU, "logistic": nn.Sigmoid,
    "linear": nn.Identity, "swish": nn.SiLU,
}  # fmt: skip


def by_index(list_name, conv, norm):
    """Names as `module_list.12.Conv2d`: a Sequential a layer of the cfg, {i} its number, {k} its convolution's."""

    def named(model, made):
        model.add_module(list_name, nn.ModuleList())
        held = getattr(model, list_name)
        for k, (layer, parts) in enumerate(made):
            while len(held) <= layer.index:
                held.append(nn.Sequential())
            for part, name in zip(parts, (conv, norm), strict=False):
                held[layer.index].add_module(name.format(i=layer.index, k=k + 1), part)

    return named


def nested(groups, order=None):
    """Names as `down1.conv1.conv.0`: the convolutions in `groups`, names to how many; defined in another `order`."""

    def named(model, made):
        left, blocks = list(made), {}
        for group, count in groups.items():
            blocks[group] = nn.Module()
            for k in range(count or len(left)):
                _, parts = left.pop(0)
                block = nn.Module()
                block.conv = nn.ModuleList(parts)
                blocks[group].add_module(f"conv{k + 1}", block)
        for group in order or blocks:
            model.add_module(group, blocks[group])

    return named


def pairs(convolution="conv{k}", norm="bn{k}", reverse=False):
    """Names as `conv1`, `bn1` beside each other, defined from the last to the first with `reverse`."""

    def named(model, made):
        numbered = list(enumerate(made))
        for k, (_, parts) in reversed(numbered) if reverse else numbered:
            for part, name in zip(parts, (convolution, norm), strict=False):
                model.add_module(name.format(k=k + 1), part)

    return named


class Port(nn.Module):
    """A network of convolutions, connected layers, pools, routes, sums, reorgs and heads (as they go in)."""

    def __init__(self, net, naming, *, eps=1e-5, reorg=None, scale=0.1, seed=0):
        super().__init__()
        self.net, self.reorg, self.of = net, reorg, {}
        torch.manual_seed(seed)
        made = []
        for layer in net.layers:
            if layer.kind in ("convolutional", "connected"):
                made.append((layer, self.parts(layer, layer.settings, eps, scale)))
                self.of[layer.index] = made[-1][1]
        naming(self, made)
        self.of = {index: tuple(parts) for index, parts in self.of.items()}
        self.eval()

    def parts(self, layer, s, eps, scale):
        if layer.kind == "connected":
            product = nn.Linear(int(np.prod(layer.in_shape)), s.output, bias=not s.batch_normalize)
        else:
            product = nn.Conv2d(
                layer.in_shape[0], s.filters, s.size, (s.stride_y, s.stride_x), s.padding, s.dilation, s.groups,
                bias=not s.batch_normalize,
            )  # fmt: skip
        if not s.batch_normalize:
            return [product]
        norm = nn.BatchNorm1d(s.output, eps) if layer.kind == "connected" else nn.BatchNorm2d(s.filters, eps)
        with torch.no_grad():
            norm.weight.copy_(torch.rand_like(norm.weight) + 0.5)
            norm.bias.copy_(torch.randn_like(norm.bias) * scale)
            norm.running_mean.copy_(torch.randn_like(norm.running_mean) * scale)
            norm.running_var.copy_(torch.rand_like(norm.running_var) + 0.1)
        return [product, norm]

    def forward(self, x):
        outputs = []
        for layer in self.net.layers:
            inputs = [x if source == -1 else outputs[source] for source in layer.inputs]
            outputs.append(self.computed(layer, layer.settings, inputs))
        heads = [outputs[layer.index] for layer in self.net.layers if layer.kind in ("yolo", "region")]
        return tuple(heads) if len(heads) > 1 else heads[0] if heads else outputs[-1]

    def computed(self, layer, s, inputs):
        x = inputs[0]
        if layer.index in self.of:
            x = x.flatten(1) if layer.kind == "connected" else x
            for part in self.of[layer.index]:
                x = part(x)
            return ACTIVATIONS[s.activation]()(x)
        if layer.kind == "route":
            taken = [x.chunk(s.groups, 1)[s.group_id] for x in inputs] if s.groups > 1 else inputs
            return torch.cat(taken, 1)
        if layer.kind == "shortcut":
            return ACTIVATIONS[s.activation]()(inputs[0] + inputs[1])
        if layer.kind == "maxpool":
            x = F.pad(x, (s.padding_left, s.padding_right, s.padding_top, s.padding_bottom), value=-torch.inf)
            return F.max_pool2d(x, s.size, (s.stride_y, s.stride_x))
        if layer.kind == "upsample":
            return F.interpolate(x, scale_factor=s.stride)
        if layer.kind == "avgpool":
            return x.mean((2, 3), keepdim=True)
        if layer.kind in ("reorg", "reorg3d"):
            name = self.reorg or s.operation
            return lb.emit(lb.op(name, stride=s.stride), "torch")(x)
        if layer.kind in ("yolo", "region", "dropout"):
            return x
        if layer.kind == "softmax":
            return x.flatten(1).softmax(1)
        raise NotImplementedError(layer.kind)


class OwnConvolution(nn.Module):
    """A convolution that is none of PyTorch's classes."""

    def __init__(self, held):
        super().__init__()
        self.weight, self.settings = held.weight, (None, held.stride, held.padding, held.dilation, held.groups)

    def forward(self, x):
        return F.conv2d(x, self.weight, *self.settings)
