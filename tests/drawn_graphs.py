"""Random ONNX graphs in which axes are permuted again and again. Not a test itself."""

from __future__ import annotations

from math import prod
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F = TensorProto.FLOAT
SIZES = {"N": (2, 3), "H": (6, 8), "W": (4, 6)}  # of open lengths, at which both models are run


class Drawn:
    """A graph that grows: `tensors` are the shapes of its float tensors, open lengths by name."""

    def __init__(self, random: Random) -> None:
        self.random, self.opset = random, random.choice((11, 13, 15, 17, 18, 21))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.tensors: dict[str, tuple[int | str, ...]] = {}
        self.inputs: list[str] = []
        self.rng = np.random.default_rng(random.randrange(1 << 30))

    # ------------------------------------------------------------------ what is written

    def constant(self, array, dtype=np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape) / max(1, prod(shape[1:])) ** 0.5)

    def node(self, kind: str, inputs, shape, outputs: int = 1, **attributes) -> str:
        names = [f"t{len(self.nodes)}" + (f"_{k}" if k else "") for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        self.tensors[names[0]] = tuple(shape)
        return names[0]

    def with_axes(self, kind: str, name: str, axes, shape, since: int, **attributes) -> str:
        """A node whose axes became an input in the opset `since`."""
        if self.opset < since:
            return self.node(kind, [name], shape, axes=list(axes), **attributes)
        return self.node(kind, [name, self.constant(axes, np.int64)], shape, **attributes)

    # ------------------------------------------------------------------ steps; each may do nothing

    def transpose(self, name, shape):
        order = self.random.choice(_LIKELY.get(len(shape), [tuple(range(len(shape)))]))
        self.node("Transpose", [name], [shape[axis] for axis in order], perm=order)

    def alone(self, name, shape):
        kind = self.random.choice(("Relu", "Sigmoid", "Neg", "Abs", "Identity", "LeakyRelu", "Tanh"))
        self.node(kind, [name], shape)

    def with_another(self, name, shape):
        others = [each for each, held in self.tensors.items() if held == shape]
        self.node(self.random.choice(("Add", "Mul", "Sub", "Max")), [name, self.random.choice(others)], shape)

    def with_constant(self, name, shape):
        axes = range(self.random.randint(0, len(shape)), len(shape))
        lengths = [n if isinstance((n := shape[axis]), int) and self.random.random() < 0.7 else 1 for axis in axes]
        inputs = [name, self.weights(*lengths)]
        self.node(self.random.choice(("Add", "Mul", "Sub")), self.random.sample(inputs, 2), shape)

    def with_its_mean(self, name, shape):
        axes = self.random.sample(range(len(shape)), self.random.randint(1, len(shape)))
        kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
        mean = self.with_axes("ReduceMean", name, axes, kept, 18)
        self.node("Sub", [name, mean], shape)

    def reduced(self, name, shape):
        if len(shape) < 2:
            return
        axes = sorted(self.random.sample(range(len(shape)), self.random.randint(1, min(2, len(shape) - 1))))
        left = [n for axis, n in enumerate(shape) if axis not in axes]
        told = [axis - len(shape) if self.random.random() < 0.5 else axis for axis in axes]
        self.with_axes(self.random.choice(("ReduceMean", "ReduceMax")), name, told, left, 18, keepdims=0)

    def joined(self, name, shape):
        others = [each for each, held in self.tensors.items() if len(held) == len(shape)]
        for axis in self.random.sample(range(len(shape)), len(shape)):
            fits = [
                o
                for o in others
                if _but(self.tensors[o], axis) == _but(shape, axis) and isinstance(self.tensors[o][axis], int)
            ]
            if isinstance(shape[axis], int) and fits:
                other = self.random.choice(fits)
                length = shape[axis] + self.tensors[other][axis]
                self.node("Concat", [name, other], [*shape[:axis], length, *shape[axis + 1 :]], axis=axis - len(shape))
                return

    def split(self, name, shape):
        for axis, length in enumerate(shape):
            if isinstance(length, int) and length % 2 == 0:
                half = [*shape[:axis], length // 2, *shape[axis + 1 :]]
                more = {"num_outputs": 2} if self.opset >= 18 else {}
                first = self.node("Split", [name], half, outputs=2, axis=axis, **more)
                self.tensors[f"{first}_1"] = tuple(half)
                return

    def sliced(self, name, shape):
        axes = [axis for axis, n in enumerate(shape) if isinstance(n, int) and n > 2]
        if axes:
            axis = self.random.choice(axes)
            step = self.random.choice((1, -1))
            start, end = (1, shape[axis]) if step > 0 else (-1, 0)
            told = [self.constant([each], np.int64) for each in (start, end, axis, step)]
            self.node("Slice", [name, *told], [*shape[:axis], shape[axis] - 1, *shape[axis + 1 :]])

    def padded(self, name, shape):
        pads = [self.random.choice((0, 1)) if isinstance(n, int) else 0 for n in shape]
        wide = [n + p if isinstance(n, int) else n for n, p in zip(shape, pads, strict=True)]
        self.node("Pad", [name, self.constant([*[0] * len(shape), *pads], np.int64)], wide)

    def softmax(self, name, shape):
        axis = self.random.randrange(-len(shape), len(shape)) if self.opset >= 13 else len(shape) - 1
        self.node("Softmax", [name], shape, axis=axis)

    def product(self, name, shape):
        if len(shape) > 1 and isinstance(shape[-1], int):
            self.node("MatMul", [name, self.weights(shape[-1], 4)], [*shape[:-1], 4])

    def attention(self, name, shape):
        if len(shape) > 2:
            turned = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
            other = self.node("Transpose", [name], [shape[axis] for axis in turned], perm=turned)
            if isinstance(shape[-2], int):
                self.node("MatMul", [name, other], [*shape[:-1], shape[-2]])
            else:
                self.node("MatMul", [other, name], [*shape[:-2], shape[-1], shape[-1]])

    def dense(self, name, shape):
        if len(shape) == 2 and isinstance(shape[1], int):
            self.node("Gemm", [name, self.weights(5, shape[1]), self.weights(5)], [shape[0], 5], transB=1)

    def flat(self, name, shape):
        if len(shape) > 2 and all(isinstance(n, int) for n in shape[1:]):
            if self.random.random() < 0.5:
                self.node("Flatten", [name], [shape[0], prod(shape[1:])])
            else:
                told = self.constant([0 if isinstance(shape[0], str) else shape[0], -1], np.int64)
                self.node("Reshape", [name, told], [shape[0], prod(shape[1:])])

    def cut(self, name, shape):
        """An axis in two, another order of both, and one axis again: a shuffle, else blocks."""
        axes = [axis for axis, n in enumerate(shape) if isinstance(n, int) and n % 2 == 0 and n > 2]
        if axes and sum(isinstance(n, str) for n in shape) < 2 and len(shape) < 5:
            axis = self.random.choice(axes)
            parts = [*shape[:axis], 2, shape[axis] // 2, *shape[axis + 1 :]]
            wide = self.node("Reshape", [name, self._told(parts)], parts)
            order = [*range(axis), axis + 1, axis, *range(axis + 2, len(parts))]
            turned = self.node("Transpose", [wide], [parts[k] for k in order], perm=order)
            if self.random.random() < 0.7:
                self.node("Reshape", [turned, self._told(shape)], shape)

    def merged(self, name, shape):
        pairs = [axis for axis in range(len(shape) - 1) if all(isinstance(n, int) for n in shape[axis : axis + 2])]
        if pairs and sum(isinstance(n, str) for n in shape) < 2:
            axis = self.random.choice(pairs)
            made = [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]]
            self.node("Reshape", [name, self._told(made)], made)

    def _told(self, shape):
        return self.constant([n if isinstance(n, int) else -1 for n in shape], np.int64)

    def narrow(self, name, shape):
        ones = [axis for axis, n in enumerate(shape) if n == 1]
        if ones and len(shape) > 1:
            self.with_axes("Squeeze", name, ones[:1], [n for axis, n in enumerate(shape) if axis != ones[0]], 13)

    def wide(self, name, shape):
        if len(shape) < 4:
            axis = self.random.randint(0, len(shape))
            self.with_axes("Unsqueeze", name, [axis], [*shape[:axis], 1, *shape[axis:]], 13)

    def convolution(self, name, shape):
        if len(shape) == 4 and isinstance(shape[1], int) and shape[2] != 1 != shape[3]:
            if self.random.random() < 0.3:
                self.node("Conv", [name, self.weights(shape[1], 1, 1, 1)], shape, group=shape[1])
            else:
                self.node("Conv", [name, self.weights(4, shape[1], 1, 1), self.weights(4)], [shape[0], 4, *shape[2:]])

    def pooled(self, name, shape):
        if len(shape) == 4:
            kind = self.random.choice(("MaxPool", "AveragePool"))
            self.node(kind, [name], shape, kernel_shape=[3, 1], pads=[1, 0, 1, 0])

    def normalised(self, name, shape):
        if len(shape) > 2 and isinstance(shape[1], int):
            held = [self.constant(np.abs(self.rng.standard_normal(shape[1])) + 0.5) for _ in range(4)]
            self.node("BatchNormalization", [name, *held], shape)

    def picked(self, name, shape):
        axes = [axis for axis, n in enumerate(shape) if isinstance(n, int)]
        if axes:
            axis = self.random.choice(axes)
            taken = [self.random.randrange(-shape[axis], shape[axis]) for _ in range(3)]
            made = [*shape[:axis], 3, *shape[axis + 1 :]]
            self.node("Gather", [name, self.constant(taken, np.int64)], made, axis=axis)

    def enlarged(self, name, shape):
        axes = [axis for axis, n in enumerate(shape) if isinstance(n, int) and n < 7]
        if axes:
            axis = self.random.choice(axes)
            scales = self.constant([2.0 if each == axis else 1.0 for each in range(len(shape))])
            made = [*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]]
            self.node("Resize", [name, self.constant([]), scales], made, mode="nearest")

    def quantised(self, name, shape):
        axes = [axis for axis, n in enumerate(shape) if isinstance(n, int)]
        if axes and self.opset >= 13 and self.random.random() < 0.5:
            axis = self.random.choice(axes)
            scale = self.constant(self.rng.random(shape[axis]) / 16 + 0.03)
            zero = self.constant(self.rng.integers(0, 9, shape[axis]), np.uint8)
            more = {"axis": axis - len(shape)}
        else:
            scale, zero, more = self.constant(0.05), self.constant(7, np.uint8), {}
        low = self.node("QuantizeLinear", [name, scale, zero], shape, **more)
        del self.tensors[low]
        self.node("DequantizeLinear", [low, scale, zero], shape, **more)

    def shaped_as(self, name, shape):
        """Reshaped to another tensor's shape, asked of it."""
        same = [o for o, held in self.tensors.items() if sorted(map(str, held)) == sorted(map(str, shape))]
        other = self.random.choice(same)
        told = self.node("Shape", [other], [len(shape)])
        del self.tensors[told]
        self.node("Reshape", [name, told], self.tensors[other])

    def branched(self, name, shape):
        """A condition whose branches read tensors around them, and permute."""
        made = []
        for kind in ("Relu", "Neg"):
            inner = [
                helper.make_node(
                    "Transpose", [name], [f"in_{kind}{len(self.nodes)}"], perm=list(range(len(shape)))[::-1]
                )
            ]
            inner.append(helper.make_node(kind, [inner[0].output[0]], [f"mid_{kind}{len(self.nodes)}"]))
            inner.append(helper.make_node("Transpose", [inner[1].output[0]], [f"out_{kind}{len(self.nodes)}"]))
            given = helper.make_tensor_value_info(
                inner[2].output[0], F, [n if isinstance(n, int) else None for n in shape]
            )
            made.append(helper.make_graph(inner, f"branch{len(self.nodes)}{kind}", [], [given]))
        self.node(
            "If", [self.constant(self.random.random() < 0.5, bool)], shape, then_branch=made[0], else_branch=made[1]
        )


_LIKELY = {
    2: [(1, 0)],
    3: [(0, 2, 1), (0, 2, 1), (1, 0, 2), (2, 0, 1), (1, 2, 0)],
    4: [(0, 2, 3, 1), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 1, 2), (0, 1, 3, 2), (0, 2, 1, 3), (3, 2, 1, 0)],
    5: [(0, 1, 3, 4, 2), (0, 4, 1, 2, 3), (0, 2, 1, 3, 4)],
}
_STEPS = [
    name
    for name in vars(Drawn)
    if not name.startswith("_") and name not in ("constant", "weights", "node", "with_axes")
]


def _but(shape, axis):
    return (*shape[:axis], *shape[axis + 1 :])


def drawn_graph(random: Random, steps: int, exact: bool = False) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    """A model, and inputs for it at each choice of its open sizes."""
    made = Drawn(random)
    shapes: list[tuple[int | str, ...]] = [
        ("N", 4, "H", 6),
        (2, 6, 4, 8),
        ("N", "H", "W", 4),
        (2, 8, 12),
        ("N", 6, 4),
        (2, 4, 1, 1),
    ]
    for k in range(random.choice((1, 1, 2))):
        made.tensors[f"x{k}"] = shapes[random.randrange(len(shapes))]
        made.inputs.append(f"x{k}")
    inputs = dict(made.tensors)
    for _ in range(steps):
        name = random.choice(list(made.tensors)[-4:])
        step = "transpose" if random.random() < 0.3 else random.choice(_STEPS)
        if all(length != 0 for length in made.tensors[name]) and made.tensors[name]:
            getattr(made, step)(name, made.tensors[name])
    outputs = [each for each in list(made.tensors)[-random.choice((1, 1, 2, 3)) :] if each not in inputs]
    if not outputs:
        made.node("Neg", [made.inputs[0]], made.tensors[made.inputs[0]])
        outputs = [list(made.tensors)[-1]]
    graph = helper.make_graph(
        made.nodes,
        "drawn",
        [helper.make_tensor_value_info(name, F, shape) for name, shape in inputs.items()],
        [
            helper.make_tensor_value_info(name, F, [n if isinstance(n, int) else None for n in made.tensors[name]])
            for name in outputs
        ],
        made.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", made.opset)], ir_version=8)
    given = [
        {
            name: made.rng.standard_normal([SIZES[n][choice] if isinstance(n, str) else n for n in shape]).astype(
                np.float32
            )
            for name, shape in inputs.items()
        }
        for choice in range(2)
    ]
    return model, given
