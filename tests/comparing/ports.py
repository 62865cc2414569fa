"""A hand-written port of Darknet networks to PyTorch, with the faults that ports have. Not a test itself."""

import numpy as np
import torch
import torch.nn.functional as F

import layoutbridge as lb


class Port(torch.nn.Module):
    """A network of convolutions, pools, routes, sums, reorgs, upsampling and heads, as somebody would write it."""

    def __init__(self, net, **faults):
        super().__init__()
        self.net, self.faults = net, faults
        for (index, name), values in net.parameters.items():
            self.register_buffer(f"p{index}_{name}", torch.tensor(np.array(values)))

    def p(self, layer, name):
        return getattr(self, f"p{layer.index}_{name}")

    def forward(self, x):
        outputs = []
        for layer in self.net.layers:
            inputs = [x if source == -1 else outputs[source] for source in layer.inputs]
            outputs.append(getattr(self, layer.kind)(layer, layer.settings, *inputs))
        return outputs[-1]

    def fault(self, name, layer=None):
        """The value of a fault; of one that is told for a layer only there."""
        value = self.faults.get(name)
        if isinstance(value, dict) and layer is not None:
            return value.get(layer.index)
        return value

    def convolutional(self, layer, s, x):
        if layer.inputs == (-1,):
            x = torch.flip(x, (1,)) if self.fault("bgr") else x
            x = x * self.fault("range") if self.fault("range") else x
            x = (x - self.fault("mean")) if self.fault("mean") else x
        weights = self.p(layer, "weights")
        change = self.fault("weights", layer)
        weights = change(weights) if change else weights
        strides, padding = (s.stride_y, s.stride_x), s.padding
        sides = self.fault("padding", layer)
        if sides and s.size == 3:
            x, padding = F.pad(x, sides if s.stride_x == 2 else (1, 1, 1, 1)), 0
        y = F.conv2d(x, weights, None, strides, padding, s.dilation, s.groups)
        return self.activated(layer, s, self.normalized(layer, s, y))

    def normalized(self, layer, s, y):
        along = (-1, 1, 1)
        biases = self.p(layer, "biases").view(along)
        if not s.batch_normalize:
            return y + (0 if self.fault("no_bias", layer) else biases)
        variances, means = self.p(layer, "variances").view(along), self.p(layer, "means").view(along)
        divisor = (
            torch.sqrt(variances) + 1e-6 if self.net.network.flavor == "pjreddie" else torch.sqrt(variances + 1e-5)
        )
        if self.fault("epsilon", layer) is not None:
            divisor = torch.sqrt(variances + self.fault("epsilon", layer))
        if self.fault("no_batch_norm", layer):
            return y + biases
        y = (y if self.fault("no_means", layer) else y - means) / divisor
        return (y if self.fault("no_scales", layer) else y * self.p(layer, "scales").view(along)) + biases

    def activated(self, layer, s, y):
        function = self.fault("activation", layer)
        if function:
            return function(y)
        slope = self.fault("slope", layer) or 0.1
        known = {"leaky": lambda y: F.leaky_relu(y, slope), "linear": lambda y: y, "relu": torch.relu, "mish": F.mish,
                 "logistic": torch.sigmoid, "swish": F.silu}  # fmt: skip
        return known[s.activation](y)

    def connected(self, layer, s, x):
        if self.fault("flatten") and x.dim() == 4:
            x = x.permute(0, 2, 3, 1)
        weights = self.p(layer, "weights")
        if self.fault("rows"):
            weights = weights.reshape(weights.shape[::-1]).T
        y = x.reshape(x.shape[0], -1) @ weights.T
        return self.activated(layer, s, self.normalized(layer, s, y[..., None, None]))

    def maxpool(self, layer, s, x):
        sides = (s.padding_left, s.padding_right, s.padding_top, s.padding_bottom)
        sides = self.fault("pool") or sides
        return F.max_pool2d(F.pad(x, sides, value=-1e30), s.size, (s.stride_y, s.stride_x))

    def avgpool(self, layer, s, x):
        return x.amax((2, 3), keepdim=True) if self.fault("pool_max") else x.mean((2, 3), keepdim=True)

    def upsample(self, layer, s, x):
        options = self.fault("upsample") or {"mode": "nearest"}
        return s.scale * F.interpolate(x, scale_factor=s.stride, **options)

    def route(self, layer, s, *inputs):
        parts = [x.chunk(s.groups, 1)[s.group_id] for x in inputs]
        return torch.cat(parts[::-1] if self.fault("concat", layer) else parts, 1)

    def shortcut(self, layer, s, x, other):
        return self.activated(layer, s, x if self.fault("no_sum") else x + other)

    def reorg(self, layer, s, x):
        name = self.fault("reorg")
        if name == "pixel_unshuffle":
            return F.pixel_unshuffle(x, s.stride)
        return lb.emit(lb.op(name or s.operation, stride=s.stride), "torch")(x).reshape(x.shape[0], *layer.out_shape)

    reorg3d = reorg

    def dropout(self, layer, s, x):
        return x

    def softmax(self, layer, s, x):
        return torch.softmax(x.flatten(1), 1).reshape(x.shape)

    def region(self, layer, s, x):
        if self.fault("raw"):
            return x
        boxes = x.view(x.shape[0], s.num, s.entries, -1)
        parts = []
        for entry in range(s.entries):
            part = boxes[:, :, entry : entry + 1]
            is_logistic = any(first <= entry < end for first, end in s.logistic) or self.fault("all_logistic")
            parts.append(torch.sigmoid(part) if is_logistic else part)
        boxes = torch.cat(parts, 2)
        if s.softmax_entries and not self.fault("all_logistic"):
            first, end = s.softmax_entries
            classes = torch.softmax(boxes[:, :, first:end], 2)
            boxes = torch.cat([boxes[:, :, :first], classes, boxes[:, :, end:]], 2)
        flat = boxes.reshape(x.shape[0], -1, x.shape[2] * x.shape[3])
        return (flat.transpose(1, 2).contiguous() if s.channels_last else flat).reshape(x.shape[0], *layer.out_shape)

    def yolo(self, layer, s, x):
        boxes = x.view(x.shape[0], s.num, s.entries, -1)
        parts = []
        for entry in range(s.entries):
            part = boxes[:, :, entry : entry + 1]
            is_logistic = any(first <= entry < end for first, end in s.logistic) or self.fault("all_logistic")
            part = torch.sigmoid(part) if is_logistic else part
            spread = entry < 2 and not self.fault("no_spread")
            parts.append(s.scale_x_y * part - 0.5 * (s.scale_x_y - 1) if spread else part)
        return torch.cat(parts, 2).reshape(x.shape)
