"""Ports that decode boxes themselves, as nodes of ONNX, in the public styles and with faults. Not a test itself."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.comparing.onnx_ports import OPSET, Port


class Decoding(Port):
    """A network whose heads' boxes are decoded: in a `unit`, a `form`, a `layout`, with an `order` of boxes.

    The outputs are `together`: everything in one tensor, "parts" for boxes, objectness and scores each in its own, and
    "best" for boxes, the best score and its label. `heads` says which heads, in which order, are joined; None leaves
    each its own outputs. Faults are told for all heads or, in a dict, by the index of a layer.
    """

    def __init__(self, net, *, unit="pixels", form="centre", confidence="both", together="one", layout="rows",
                 order="box, row, column", joined=True, reverse=False, **faults):  # fmt: skip
        super().__init__(net, **faults)
        self.unit, self.form, self.confidence, self.together = unit, form, confidence, together
        self.layout, self.order, self.joined, self.reverse_heads = layout, order, joined, reverse
        self.decoded = []

    def model(self):
        c, h, width = self.net.network.in_shape
        outputs = []
        for layer in self.net.network.layers:
            inputs = ["picture" if source == -1 else outputs[source] for source in layer.inputs]
            outputs.append(getattr(self, layer.kind)(layer, layer.settings, *inputs))
        given = [self.laid(each) for each in self.outputs()]
        types = [TensorProto.INT64 if name in self.labels else TensorProto.FLOAT for name in given]
        graph = helper.make_graph(
            self.w.nodes, "port", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, (1, c, h, width))],
            [helper.make_tensor_value_info(name, type, None) for name, type in zip(given, types, strict=True)],
            self.w.constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    # ------------------------------------------------------------------ what it gives

    labels = ()

    def outputs(self):
        """Tensors [1, boxes, entries] by head or of all heads, as `together` says."""
        heads = self.decoded[::-1] if self.reverse_heads else self.decoded
        if self.joined:
            heads = [[self.concat([head[k] for head in heads], 1) for k in range(3)]] if len(heads) > 1 else heads
        made = []
        for box, sure, scores in heads:
            if self.together == "one":
                order = {"both": [box, sure, scores], "scores": [box, scores], "first": [sure, box, scores]}
                made.append(self.concat(order[self.confidence], 2))
            elif self.together == "parts":
                made += [box, scores] if self.confidence == "scores" else [box, sure, scores]
            else:
                scores = self.w.add("Mul", scores, sure)
                label = self.w.add("ArgMax", scores, axis=2, keepdims=0)
                if self.fault("label from 1"):
                    label = self.w.add("Add", label, self.w.constant(1, np.int64))
                if self.fault("label of the worst"):
                    label = self.w.add("ArgMin", scores, axis=2, keepdims=0)
                self.labels = (*self.labels, label)
                best = self.w.add("ReduceMax", scores, axes=[2], keepdims=0)
                made += [label] if self.fault("labels alone") else [box, best, label]
        return made

    def laid(self, x):
        if self.layout == "turned":
            return self.w.turned(x, 0, 2, 1)
        return self.w.add("Unsqueeze", x, self.w.whole(2)) if self.layout == "an axis more" else x

    def concat(self, parts, axis):
        return self.w.add("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]

    def ordered(self, x, count, shape, order=None):
        """[1, boxes of a place, entries, H, W] as [1, boxes, entries]."""
        axes = {"box": 1, "row": 3, "column": 4}
        turned = self.w.turned(x, 0, *(axes[name] for name in (order or self.order).split(", ")), 2)
        return self.w.shaped(turned, 1, -1, count)

    # ------------------------------------------------------------------ arithmetic

    def part(self, x, start, end, axis=2):
        return self.w.sliced(x, (start,), (end,), (axis,), (1,))

    def times(self, x, factor):
        return self.w.add("Mul", x, self.w.constant(factor))

    def plus(self, x, more):
        return self.w.add("Add", x, self.w.constant(more))

    def each(self, layer, name, right):
        """What is right, or what a fault of the layer says."""
        value = self.fault(name, layer)
        return right if value is None else value

    def finish(self, layer, xy, wh, sure, scores, num, entries):
        """From places of the grid: unit and form, then the boxes in the order."""
        w, net = self.w, self.net.network
        _, height, width = (
            layer.out_shape if len(layer.out_shape) == 3 else (0, layer.settings.side, layer.settings.side)
        )
        own = np.array([net.width / width, net.height / height])
        factor = {"pixels": own, "shares": 1 / np.array([width, height]), "places": np.ones(2)}[self.unit]
        scale = (factor * self.each(layer, "stride", 1.0)).reshape(1, 1, 2, 1, 1)
        xy, wh = self.times(xy, scale), self.times(wh, factor.reshape(1, 1, 2, 1, 1))
        half = self.times(wh, 0.5)
        if self.fault("exchange xy"):
            xy = w.add("Concat", self.part(xy, 1, 2), self.part(xy, 0, 1), axis=2)
        if self.fault("exchange wh"):
            wh = w.add("Concat", self.part(wh, 1, 2), self.part(wh, 0, 1), axis=2)
        low, high = w.add("Sub", xy, half), w.add("Add", xy, half)
        if self.fault("cut"):
            low, high = self.cut(low), self.cut(high)
        parts = {"centre": (xy, wh), "corners": (low, high), "top left": (low, wh)}
        if self.form.startswith("yx"):
            first, second = (low, high) if "corners" in self.form else (xy, wh)
            turned = [w.add("Concat", self.part(each, 1, 2), self.part(each, 0, 1), axis=2) for each in (first, second)]
            parts[self.form] = tuple(turned)
        shape = (num, height, width)
        box = self.ordered(w.add("Concat", *parts[self.form], axis=2), 4, shape)
        order = self.fault("order of objectness", layer)
        sure = self.ordered(sure, 1, shape, order)
        scores = self.ordered(scores, entries, shape, self.fault("order of scores", layer))
        if self.confidence == "scores" or self.fault("multiplied"):
            scores = w.add("Mul", scores, sure)
        self.decoded.append((box, sure, scores))
        return box

    def cut(self, x):
        width, height = self.net.network.width, self.net.network.height
        most = self.w.constant(np.array([width, height]).reshape(1, 1, 2, 1, 1))
        return self.w.add("Max", self.w.add("Min", x, most), self.w.constant(0.0))

    def grid(self, layer, height, width):
        """[1, 1, 2, H, W]: columns and rows."""
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        made = np.stack([columns, rows]).reshape(1, 1, 2, height, width)
        change = self.fault("grid", layer)
        return change(made) if change else made

    # ------------------------------------------------------------------ heads

    def yolo(self, layer, s, x):
        w = self.w
        _, height, width = layer.out_shape
        read = self.fault("read", layer)
        if read == "entries first":
            x = w.turned(w.shaped(x, 1, s.entries, s.num, height, width), 0, 2, 1, 3, 4)
        elif read == "reshape":
            x = w.turned(w.shaped(x, 1, s.num, height, width, s.entries), 0, 1, 4, 2, 3)
        elif read == "channels last":
            x = w.shaped(w.turned(x, 0, 2, 3, 1), 1, s.num, s.entries, height, width)
        x = w.shaped(x, 1, s.num, s.entries, height, width)
        return self.of_entries(layer, s, x, self.part(x, 0, 2), self.part(x, 2, 4), 4)

    def Gaussian_yolo(self, layer, s, x):
        w = self.w
        _, height, width = layer.out_shape
        x = w.shaped(x, 1, s.num, s.entries, height, width)
        means = [self.part(x, k, k + 1) for k in (0, 2, 4, 6)]
        deviations = w.add("Concat", *(self.part(x, k, k + 1) for k in (1, 3, 5, 7)), axis=2)
        if self.fault("first four"):
            means, deviations = [self.part(x, k, k + 1) for k in range(4)], self.part(x, 4, 8)
        if self.fault("deviations for sizes"):
            means[2:] = [self.part(x, 5, 6), self.part(x, 7, 8)]
        xy, wh = (w.add("Concat", *each, axis=2) for each in (means[:2], means[2:]))
        certain = w.add("ReduceMean", w.add("Sigmoid", deviations), axes=[2], keepdims=1)
        self.certain = w.add("Sub", w.constant(1.0), certain)
        return self.of_entries(layer, s, x, xy, wh, 8)

    def region(self, layer, s, x):
        _, height, width = layer.out_shape
        x = self.w.shaped(x, 1, s.num, s.entries, height, width)
        return self.of_entries(layer, s, x, self.part(x, 0, 2), self.part(x, 2, 4), 4)

    def of_entries(self, layer, s, x, xy, wh, first):
        w, kind = self.w, layer.kind
        _, height, width = layer.out_shape
        new, scale = getattr(s, "new_coords", False), getattr(s, "scale_x_y", 1.0)
        if self.fault("raw", layer) == "all":
            box, sure, classes = (
                self.part(x, *each) for each in ((0, first), (first, first + 1), (first + 1, s.entries))
            )
            parts = zip((box, sure, classes), (first, 1, s.classes), strict=True)
            self.decoded.append(tuple(self.ordered(each, count, None) for each, count in parts))
            return box
        raw_xy, raw_wh = xy, wh
        xy = xy if new or self.fault("no logistic", layer) else w.add("Sigmoid", xy)
        if scale != 1:
            xy = self.plus(self.times(xy, scale), -0.5 * (scale - 1))
        wh = self.times(wh, 2.0) if new else wh
        wh = w.add("Mul", wh, wh) if new else wh if self.fault("no exp", layer) else w.add("Exp", wh)
        table = np.array(s.anchors).reshape(-1, 2)
        mask = self.each(layer, "mask", list(getattr(s, "mask", range(s.num))))
        anchors = self.each(layer, "anchors", lambda own: own)(table[mask])
        if kind != "region":
            net = self.net.network
            anchors = anchors / [net.width / width, net.height / height] * self.each(layer, "size", 1.0)
        if self.fault("raw", layer) == "powers":
            anchors = np.ones((s.num, 2))
        wh = self.times(wh, anchors.reshape(1, s.num, 2, 1, 1))
        spread, xy = xy, self.plus(xy, self.grid(layer, height, width))
        if self.fault("raw", layer):
            xy, wh = {"boxes": (raw_xy, raw_wh), "powers": (spread, wh), "entries": (spread, raw_wh)}[
                self.fault("raw", layer)
            ]
        point = getattr(s, "yolo_point", "center")
        if point != "center" and not self.fault("the corner"):
            xy = w.add("Add", xy, self.times(wh, 0.5 if point == "left_top" else -0.5))
        sure, classes = self.part(x, first, first + 1), self.part(x, first + 1, s.entries)
        if not new:
            sure = sure if self.fault("raw objectness", layer) else w.add("Sigmoid", sure)
            is_soft = (kind == "region" and s.softmax_entries) or self.fault("softmax", layer)
            classes = w.add("Softmax", classes, axis=2) if is_soft else w.add("Sigmoid", classes)
        if kind == "Gaussian_yolo" and not self.fault("certain"):
            if self.fault("objectness times certain"):
                sure = w.add("Mul", sure, self.certain)
            else:
                classes = w.add("Mul", classes, self.certain)
        change = self.fault("order of classes")
        if change:
            classes = w.add("Gather", classes, self.w.constant(change, np.int64), axis=2)
        return self.finish(layer, xy, wh, sure, classes, s.num, s.classes)

    def detection(self, layer, s, x):
        w, places = self.w, s.side**2
        sizes = {"classes": s.classes, "confidences": s.num, "boxes": 4 * s.num}
        start, parts = 0, {}
        order = self.each(layer, "vector", ("classes", "confidences", "boxes"))
        if self.fault("by place"):
            x = w.shaped(x, 1, places, -1)
        for name in order:
            end = start + sizes[name] * (1 if self.fault("by place") else places)
            parts[name] = self.part(x, start, end, 2 if self.fault("by place") else 1)
            start = end
        rows = w.shaped(parts["boxes"], 1, s.side, s.side, s.num, 4)
        boxes = w.turned(rows, 0, 3, 4, 1, 2)
        sure = w.turned(w.shaped(parts["confidences"], 1, s.side, s.side, s.num, 1), 0, 3, 4, 1, 2)
        classes = w.turned(w.shaped(parts["classes"], 1, s.side, s.side, 1, s.classes), 0, 3, 4, 1, 2)
        classes = w.add("Softmax", classes, axis=2) if s.softmax else classes
        classes = w.add("Expand", classes, w.whole(1, s.num, s.classes, s.side, s.side))
        xy, wh = self.part(boxes, 0, 2), self.part(boxes, 2, 4)
        wh = w.add("Mul", wh, wh) if s.sqrt and not self.fault("no square") else wh
        wh = self.times(wh, 1.0 if self.fault("of a place") else float(s.side))
        xy = self.plus(xy, self.grid(layer, s.side, s.side))
        return self.finish(layer, xy, wh, sure, classes, s.num, s.classes)


def decoding(net, **options):
    return Decoding(net, **options).model()
