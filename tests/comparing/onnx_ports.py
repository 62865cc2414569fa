"""A port of Darknet networks as nodes of ONNX, in several styles and with faults. Not a test itself."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Writer:
    """Nodes and constants, each under a name of its own."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)), name))
        return name

    def whole(self, *values):
        return self.constant(values, np.int64)

    def add(self, operator, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def shaped(self, x, *shape):
        return self.add("Reshape", x, self.whole(*shape))

    def turned(self, x, *order):
        return self.add("Transpose", x, perm=order)

    def sliced(self, x, starts, ends, axes, steps):
        return self.add("Slice", x, *(self.whole(*each) for each in (starts, ends, axes, steps)))


def _reshaped(w, x, c, h, width):
    x = w.shaped(x, 1, c // 4, h, 2, width, 2)
    return w.shaped(w.turned(x, 0, 3, 5, 1, 2, 4), 1, 4 * c, h // 2, width // 2)


def _of_rank_five(w, x, c, h, width):
    x = w.turned(w.shaped(x, c // 4 * h, 2, width, 2), 1, 3, 0, 2)
    return w.shaped(x, 1, 4 * c, h // 2, width // 2)


def _sliced(w, x, c, h, width):
    x = w.shaped(x, 1, c // 4, 2 * h, 2 * width)
    parts = [w.sliced(x, (p, q), (1 << 30, 1 << 30), (2, 3), (2, 2)) for p in (0, 1) for q in (0, 1)]
    return w.shaped(w.add("Concat", *parts, axis=1), 1, 4 * c, h // 2, width // 2)


def _by_op(w, x, c, h, width):
    x = w.add("SpaceToDepth", w.shaped(x, 1, c // 4, 2 * h, 2 * width), blocksize=2)
    return w.shaped(x, 1, 4 * c, h // 2, width // 2)


def _gathered(w, x, c, h, width):
    table = np.arange(c * h * width).reshape(c // 4, h, 2, width, 2).transpose(2, 4, 0, 1, 3).reshape(-1)
    x = w.add("Gather", w.shaped(x, 1, -1), w.constant(table, np.int64), axis=1)
    return w.shaped(x, 1, 4 * c, h // 2, width // 2)


def _convolved(w, x, c, h, width):
    part = c // 4
    kernel = np.zeros((c, part, 2, 2), np.float32)
    for k in range(c):
        kernel[k, k % part, k // part // 2, k // part % 2] = 1
    x = w.add("Conv", w.shaped(x, 1, part, 2 * h, 2 * width), w.constant(kernel), strides=[2, 2])
    return w.shaped(x, 1, 4 * c, h // 2, width // 2)


REORGS = {
    "reshape and transpose": _reshaped,
    "a transpose of rank 4": _of_rank_five,
    "slices": _sliced,
    "SpaceToDepth of another view": _by_op,
    "a gather": _gathered,
    "a convolution": _convolved,
}


class Port:
    """How somebody writes a network node by node; `faults` are what is wrong.

    `kept` is batch norm that is not folded, "written out" that and leaky in four steps and two.
    """

    def __init__(self, net, *, spelling="reshape and transpose", kept=False, nhwc=False, head="layer", **faults):
        self.net, self.spelling, self.kept, self.nhwc, self.head, self.faults = net, spelling, kept, nhwc, head, faults
        self.w = Writer()

    def fault(self, name, layer=None):
        value = self.faults.get(name)
        return value.get(layer.index) if isinstance(value, dict) else value

    def model(self):
        c, h, width = self.net.network.in_shape
        outputs = []
        x = self.w.turned("picture", 0, 3, 1, 2) if self.nhwc else "picture"
        x = self.w.sliced(x, (-1,), (-(1 << 30),), (1,), (-1,)) if self.fault("bgr") else x
        x = self.w.add("Mul", x, self.w.constant(self.fault("range"))) if self.fault("range") else x
        for layer in self.net.network.layers:
            inputs = [x if source == -1 else outputs[source] for source in layer.inputs]
            outputs.append(getattr(self, layer.kind)(layer, layer.settings, *inputs))
        shape = (1, h, width, c) if self.nhwc else (1, c, h, width)
        graph = helper.make_graph(
            self.w.nodes, "port", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, None)], self.w.constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    def p(self, layer, name):
        return np.array(self.net.parameters[layer.index, name], np.float64)

    def convolutional(self, layer, s, x):
        w, weights, biases = self.w, self.p(layer, "weights"), self.p(layer, "biases")
        weights = self.fault("weights", layer)(weights) if self.fault("weights", layer) else weights
        pads = self.fault("pads", layer) or [s.padding] * 4
        options = {"strides": [s.stride_y, s.stride_x], "pads": pads, "group": s.groups, "dilations": [s.dilation] * 2}
        if s.batch_normalize:
            epsilon = self.fault("epsilon", layer)
            variances = self.p(layer, "variances")
            if epsilon is None and self.net.network.flavor == "pjreddie":
                variances = (np.sqrt(variances) + 1e-6) ** 2
            else:
                variances = variances + (1e-5 if epsilon is None else epsilon)
            means, scales = self.p(layer, "means"), self.p(layer, "scales")
            if self.kept:
                y = w.add("Conv", x, w.constant(weights), **options)
                if self.fault("written out"):
                    for operator, each in zip(
                        ("Sub", "Div", "Mul", "Add"), (means, np.sqrt(variances), scales, biases), strict=True
                    ):
                        y = w.add(operator, y, w.constant(each.reshape(-1, 1, 1)))
                    return self.activated(layer, s, y)
                parts = (w.constant(each) for each in (scales, biases, means, variances - 1e-6))
                y = w.add("BatchNormalization", y, *parts, epsilon=1e-6)
                return self.activated(layer, s, y)
            factor = scales / np.sqrt(variances)
            weights, biases = weights * factor.reshape(-1, 1, 1, 1), biases - means * factor
        y = w.add("Conv", x, w.constant(weights), w.constant(biases), **options)
        return self.activated(layer, s, y)

    def activated(self, layer, s, y):
        name = self.fault("activation", layer) or s.activation
        if name == "leaky" and self.fault("written out"):
            return self.w.add("Max", y, self.w.add("Mul", y, self.w.constant(self.fault("slope", layer) or 0.1)))
        if name == "leaky":
            return self.w.add("LeakyRelu", y, alpha=self.fault("slope", layer) or 0.1)
        known = {"linear": "Identity", "relu": "Relu", "logistic": "Sigmoid", "elu": "Elu", "mish": "Mish"}
        return y if name == "linear" else self.w.add(known[name], y)

    def connected(self, layer, s, x):
        w, weights, biases = self.w, self.p(layer, "weights"), self.p(layer, "biases")
        x = w.turned(x, 0, 2, 3, 1) if self.fault("flatten") and layer.index == 1 else x
        if s.batch_normalize:
            factor = self.p(layer, "scales") / np.sqrt(self.p(layer, "variances") + 1e-5)
            weights, biases = weights * factor[:, None], biases - self.p(layer, "means") * factor
        weights = weights.T.reshape(weights.shape) if self.fault("rows", layer) else weights
        x = w.add("Flatten", x, axis=1)
        return self.activated(layer, s, w.add("Gemm", x, w.constant(weights), w.constant(biases), transB=1))

    def maxpool(self, layer, s, x):
        pads = self.fault("pool", layer) or [s.padding_top, s.padding_left, s.padding_bottom, s.padding_right]
        options = {"kernel_shape": [s.size] * 2, "strides": [s.stride_y, s.stride_x]}
        if self.fault("mean", layer):
            return self.w.add("AveragePool", x, pads=pads, **options)
        return self.w.add("MaxPool", x, pads=pads, **options)

    def upsample(self, layer, s, x):
        options = self.faults.get("resize") or {
            "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
        }  # fmt: skip
        scales = self.w.constant([1, 1, s.stride, s.stride])
        y = self.w.add("Resize", x, "", scales, **options)
        return y if s.scale == 1 else self.w.add("Mul", y, self.w.constant(s.scale))

    def route(self, layer, s, *inputs):
        if len(inputs) == 1:
            return self.w.add("Identity", inputs[0])
        return self.w.add("Concat", *(inputs[::-1] if self.fault("concat", layer) else inputs), axis=1)

    def shortcut(self, layer, s, x, other):
        alone = {"first": x, "second": other}.get(self.fault("sum", layer))
        return self.activated(layer, s, alone or self.w.add(self.fault("sum", layer) or "Add", x, other))

    def reorg(self, layer, s, x):
        c, h, width = self.net.network.layers[layer.inputs[0]].out_shape
        if self.fault("reorg") == "SpaceToDepth":
            return self.w.add("SpaceToDepth", x, blocksize=2)
        if self.fault("reorg") == "reshape":
            return self.w.shaped(x, 1, 4 * c, h // 2, width // 2)
        return REORGS[self.spelling](self.w, x, c, h, width)

    def dropout(self, layer, s, x):
        return x

    def softmax(self, layer, s, x):
        return self.w.add("Softmax", x, axis=-1)

    def yolo(self, layer, s, x):
        """Logistics and what follows them, [1, num, entries, H, W]; raw: what the last convolution gives."""
        if self.head == "raw":
            return x
        w = self.w
        _, h, width = layer.out_shape
        x = w.shaped(x, 1, s.num, s.entries, h, width)
        xy, wh, rest = (w.sliced(x, (a,), (b,), (2,), (1,)) for a, b in ((0, 2), (2, 4), (4, s.entries)))
        if not self.fault("no_spread"):
            xy = w.add("Sub", w.add("Mul", w.add("Sigmoid", xy), w.constant(s.scale_x_y)),
                       w.constant(0.5 * (s.scale_x_y - 1)))  # fmt: skip
        else:
            xy = w.add("Sigmoid", xy)
        if self.fault("softmax"):
            sure, classes = (w.sliced(rest, (a,), (b,), (2,), (1,)) for a, b in ((0, 1), (1, s.entries)))
            return w.add("Concat", xy, wh, w.add("Sigmoid", sure), w.add("Softmax", classes, axis=2), axis=2)
        return w.add("Concat", xy, wh, w.add("Sigmoid", rest), axis=2)

    def region(self, layer, s, x):
        if self.head == "raw":
            return x
        w = self.w
        _, h, width = layer.out_shape
        x = w.shaped(x, 1, s.num, s.entries, h, width)
        xy, wh, sure, classes = (
            w.sliced(x, (a,), (b,), (2,), (1,)) for a, b in ((0, 2), (2, 4), (4, 5), (5, s.entries))
        )
        xy = w.add("Sigmoid", xy) if any(first == 0 for first, _ in s.logistic) else xy
        classes = w.add("Sigmoid", classes) if self.fault("no_softmax") else w.add("Softmax", classes, axis=2)
        return w.add("Concat", xy, wh, w.add("Sigmoid", sure), classes, axis=2)


def port(net, **options):
    return Port(net, **options).model()
